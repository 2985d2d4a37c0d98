// Peers of the interoperability run: go-fdo-client as it is, and three services on top of the library go-fdo. go-fdo-server
// pins another go-fdo and has a module of its own, `server`.
module firstlight.invalid/interop

go 1.25.5

require (
	github.com/fido-device-onboard/go-fdo v0.0.0-20260204145003-2d3d7c734680
	github.com/fido-device-onboard/go-fdo/fsim v0.0.0-20260204145003-2d3d7c734680
)

require (
	github.com/fido-device-onboard/go-fdo-client v1.0.0 // indirect
	github.com/fido-device-onboard/go-fdo/tpm v0.0.0-20260116133239-94bd9c5d647c // indirect
	github.com/fsnotify/fsnotify v1.9.0 // indirect
	github.com/go-viper/mapstructure/v2 v2.4.0 // indirect
	github.com/google/go-tpm v0.9.8 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/neilotoole/jsoncolor v0.7.1 // indirect
	github.com/pelletier/go-toml/v2 v2.2.4 // indirect
	github.com/sagikazarmark/locafero v0.11.0 // indirect
	github.com/sourcegraph/conc v0.3.1-0.20240121214520-5f936abd7ae8 // indirect
	github.com/spf13/afero v1.15.0 // indirect
	github.com/spf13/cast v1.10.0 // indirect
	github.com/spf13/cobra v1.9.1 // indirect
	github.com/spf13/pflag v1.0.10 // indirect
	github.com/spf13/viper v1.21.0 // indirect
	github.com/subosito/gotenv v1.6.0 // indirect
	go.yaml.in/yaml/v3 v3.0.4 // indirect
	golang.org/x/sys v0.39.0 // indirect
	golang.org/x/term v0.32.0 // indirect
	golang.org/x/text v0.28.0 // indirect
	hermannm.dev/devlog v0.5.0 // indirect
)

tool github.com/fido-device-onboard/go-fdo-client
