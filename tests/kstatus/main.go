// Reads Kubernetes objects as JSON, one after another, and prints what kstatus makes of each: what Flux waits by.
package main

import (
	"encoding/json"
	"errors"
	"io"
	"log"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type verdict struct {
	Status  status.Status `json:"status"`
	Message string        `json:"message"`
}

func main() {
	log.SetFlags(0)
	objects, verdicts := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var raw json.RawMessage
		if err := objects.Decode(&raw); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			log.Fatalf("kstatus: %v", err)
		}
		made, err := judge(raw)
		if err != nil {
			log.Fatalf("kstatus: %v", err)
		}
		if err := verdicts.Encode(made); err != nil {
			log.Fatalf("kstatus: %v", err)
		}
	}
}

func judge(raw []byte) (verdict, error) {
	// Not encoding/json: generations must be integers, which that would read as floats.
	var object unstructured.Unstructured
	if err := object.UnmarshalJSON(raw); err != nil {
		return verdict{}, err
	}
	result, err := status.Compute(&object)
	if err != nil {
		return verdict{}, err
	}
	return verdict{result.Status, result.Message}, nil
}
