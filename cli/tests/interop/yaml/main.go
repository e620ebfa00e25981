// Reads YAML the way talosctl does, with gopkg.in/yaml.v3: texts as JSON strings, one a line, on
// standard input; {"data": …} or {"error": "…"} for each on standard output. Only the first document
// counts, as for talosctl.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"gopkg.in/yaml.v3"
)

// Config is what talosctl reads a talosconfig into.
type Config struct {
	Context  string              `yaml:"context"`
	Contexts map[string]*Context `yaml:"contexts"`
}

// Context is one cluster and who we are there.
type Context struct {
	Endpoints []string `yaml:"endpoints"`
	Nodes     []string `yaml:"nodes"`
	CA        string   `yaml:"ca"`
	Crt       string   `yaml:"crt"`
	Key       string   `yaml:"key"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		var text string
		if err := json.Unmarshal(lines.Bytes(), &text); err != nil {
			panic(err)
		}
		answer := map[string]any{}
		if data, err := read(text); err != nil {
			answer["error"] = err.Error()
		} else {
			answer["data"] = data
		}
		line, err := json.Marshal(answer)
		if err != nil {
			panic(err)
		}
		fmt.Fprintln(out, string(line))
	}
}

func read(text string) (any, error) {
	var config Config
	if err := yaml.Unmarshal([]byte(text), &config); err != nil {
		return nil, err
	}
	var data any
	if err := yaml.Unmarshal([]byte(text), &data); err != nil {
		return nil, err
	}
	return plain(data), nil
}

// plain makes the keys of all mappings text, as JSON wants them.
func plain(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			value[name] = plain(inner)
		}
	case map[any]any:
		named := map[string]any{}
		for name, inner := range value {
			named[fmt.Sprint(name)] = plain(inner)
		}
		return named
	case []any:
		for at, inner := range value {
			value[at] = plain(inner)
		}
	}
	return value
}
