package main

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/fido-device-onboard/go-fdo/fsim"
	"github.com/fido-device-onboard/go-fdo/protocol"
	"github.com/fido-device-onboard/go-fdo/serviceinfo"
)

// step is one module for one device, as the test asks for it.
type step struct {
	Module string `json:"module"`
	// Name is the file's on the device (download, wget, upload).
	Name string `json:"name,omitempty"`
	// File is what is sent (download), or what the device's file is compared with by the test (wget).
	File    string   `json:"file,omitempty"`
	URL     string   `json:"url,omitempty"`
	Command string   `json:"command,omitempty"`
	Args    []string `json:"args,omitempty"`
}

// provision is a step that runs.
type provision struct {
	name   string
	module serviceinfo.OwnerModule
	output *bytes.Buffer
}

// outcome is how far a device has come.
type outcome struct {
	Done    bool     `json:"done"`
	Next    string   `json:"next"`
	Devmod  []string `json:"devmod"`
	Skipped []string `json:"skipped"`
	Output  string   `json:"output"`
}

// plans say what each device gets.
type plans struct {
	state    *state
	uploads  string
	mutex    sync.Mutex
	steps    map[protocol.GUID][]step
	outcomes map[protocol.GUID]*outcome
}

func newPlans(s *state, uploads string) *plans {
	return &plans{state: s, uploads: uploads, steps: map[protocol.GUID][]step{}, outcomes: map[protocol.GUID]*outcome{}}
}

func (p *plans) set(guid protocol.GUID, steps []step) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.steps[guid] = steps
}

func (p *plans) outcome(guid protocol.GUID) outcome {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if found, ok := p.outcomes[guid]; ok {
		return *found
	}
	return outcome{}
}

// Module is the one whose turn it is.
func (p *plans) Module(ctx context.Context) (string, serviceinfo.OwnerModule, error) {
	found, err := p.state.session(ctx)
	if err != nil {
		return "", nil, err
	}
	if found.turn == 0 || found.turn > len(found.provisioned) {
		return "", nil, fmt.Errorf("no module is running")
	}
	current := found.provisioned[found.turn-1]
	return current.name, current.module, nil
}

// NextModule prepares all modules when devmod is done, and goes on to the next one.
func (p *plans) NextModule(ctx context.Context) (bool, error) {
	found, err := p.state.session(ctx)
	if err != nil {
		return false, err
	}
	if found.turn == 0 {
		p.mutex.Lock()
		steps := p.steps[found.guid]
		told := &outcome{Devmod: found.modules}
		p.outcomes[found.guid] = told
		p.mutex.Unlock()
		for _, step := range steps {
			if !slices.Contains(found.modules, step.Module) {
				told.Skipped = append(told.Skipped, step.Module)
				continue
			}
			started, err := p.start(found.guid, step)
			if err != nil {
				return false, err
			}
			found.provisioned = append(found.provisioned, started)
		}
	}
	found.turn++
	return found.turn <= len(found.provisioned), nil
}

// CleanupModules has nothing to clean: devices that give up are few, and the process is short-lived.
func (p *plans) CleanupModules(context.Context) {}

func (p *plans) start(guid protocol.GUID, step step) (provision, error) {
	switch step.Module {
	case "fdo.download":
		contents, err := os.ReadFile(step.File)
		if err != nil {
			return provision{}, err
		}
		return provision{name: step.Module, module: &fsim.DownloadContents[*bytes.Reader]{
			Name:         step.Name,
			Contents:     bytes.NewReader(contents),
			MustDownload: true,
		}}, nil
	case "fdo.upload":
		directory := filepath.Join(p.uploads, hex.EncodeToString(guid[:]))
		if err := os.MkdirAll(directory, 0o700); err != nil {
			return provision{}, err
		}
		return provision{name: step.Module, module: &fsim.UploadRequest{
			Dir:        directory,
			Name:       step.Name,
			CreateTemp: func() (*os.File, error) { return os.CreateTemp(directory, ".upload-*") },
		}}, nil
	case "fdo.wget":
		contents, err := os.ReadFile(step.File)
		if err != nil {
			return provision{}, err
		}
		from, err := url.Parse(step.URL)
		if err != nil {
			return provision{}, err
		}
		sum := sha512.Sum384(contents)
		return provision{name: step.Module, module: &fsim.WgetCommand{
			Name:     step.Name,
			URL:      from,
			Length:   int64(len(contents)),
			Checksum: sum[:],
		}}, nil
	case "fdo.command":
		output := new(bytes.Buffer)
		return provision{name: step.Module, output: output, module: &fsim.RunCommand{
			Command: step.Command,
			Args:    step.Args,
			Stdout:  output,
			Stderr:  output,
		}}, nil
	}
	return provision{}, fmt.Errorf("there is no module %q", step.Module)
}

// done is called at message 70.
func (p *plans) done(ctx context.Context, old, next protocol.GUID) {
	found, err := p.state.session(ctx)
	if err != nil {
		return
	}
	var output strings.Builder
	for _, provision := range found.provisioned {
		if provision.output != nil {
			output.WriteString(provision.output.String())
		}
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	told, ok := p.outcomes[old]
	if !ok {
		told = &outcome{Devmod: found.modules}
		p.outcomes[old] = told
	}
	told.Done, told.Next, told.Output = true, hex.EncodeToString(next[:]), output.String()
}
