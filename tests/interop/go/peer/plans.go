package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/fido-device-onboard/go-fdo/fsim"
	"github.com/fido-device-onboard/go-fdo/protocol"
	"github.com/fido-device-onboard/go-fdo/serviceinfo"
)

// step is one module for one device, as the test asks for it.
type step struct {
	Module string `json:"module"`
	// Name is the file's on the device.
	Name string `json:"name"`
	// File is what is sent.
	File string `json:"file"`
}

// provision is a step that runs.
type provision struct {
	name   string
	module serviceinfo.OwnerModule
}

// outcome is how far a device has come.
type outcome struct {
	Done    bool     `json:"done"`
	Next    string   `json:"next"`
	Devmod  []string `json:"devmod"`
	Skipped []string `json:"skipped"`
}

// plans say what each device gets.
type plans struct {
	state    *state
	mutex    sync.Mutex
	steps    map[protocol.GUID][]step
	outcomes map[protocol.GUID]*outcome
}

func newPlans(s *state) *plans {
	return &plans{state: s, steps: map[protocol.GUID][]step{}, outcomes: map[protocol.GUID]*outcome{}}
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
			started, err := start(step)
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

func start(step step) (provision, error) {
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
	}
	return provision{}, fmt.Errorf("there is no module %q", step.Module)
}

// done is called at message 70.
func (p *plans) done(ctx context.Context, old, next protocol.GUID) {
	found, err := p.state.session(ctx)
	if err != nil {
		return
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	told, ok := p.outcomes[old]
	if !ok {
		told = &outcome{Devmod: found.modules}
		p.outcomes[old] = told
	}
	told.Done, told.Next = true, hex.EncodeToString(next[:])
}
