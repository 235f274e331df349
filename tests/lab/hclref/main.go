// Command hclref answers what Go's hashicorp/hcl version 1, the reader of SPIRE, makes of a text.
//
// It reads one JSON request a line and writes one JSON answer a line:
//
//	{"do": "tree", "text": T}      the parse tree: {"tree": [item, …]} or {"error": E}
//	{"do": "print", "text": T}     the text that SPIRE hands to a plugin whose plugin_data is T: {"text": P}
//	{"do": "plugins", "text": T}   the plugins that SPIRE finds in the configuration T:
//	                               {"plugins": [plugin, …], "unknown": [key, …]}, keys that make SPIRE refuse it
//	{"do": "expand", "text": T}    what -expandEnv makes of T where every variable is 7: {"text": P}
//	{"do": "duration", "text": T}  time.ParseDuration: {"nanoseconds": N}
//
// An item is {"keys": [text, …], "at": [line, column, …], "value": value}, with a place for each key. A value is one of
// {"null": true}, {"bool": B}, {"integer": spelling}, {"float": bits}, {"text": T}, {"list": [value, …]} and
// {"object": [item, …]}. A plugin is {"kind", "name", "cmd", "checksum", "data"}, data as "print" gives it. A crash of the
// library is an error, and so is a value that cannot be read.
//
// A text is parsed as SPIRE does it since 1.11.1: by hcl.Decode, which lets a key of HCL be given twice. (hcl.Parse of
// the same version does not.)
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"sort"
	"strconv"
	"time"

	"github.com/hashicorp/hcl"
	"github.com/hashicorp/hcl/hcl/ast"
	"github.com/hashicorp/hcl/hcl/printer"
	"github.com/hashicorp/hcl/hcl/token"
)

type request struct {
	Do   string `json:"do"`
	Text string `json:"text"`
}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	decoder := json.NewDecoder(in)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for decoder.More() {
		var asked request
		if err := decoder.Decode(&asked); err != nil {
			fmt.Fprintln(os.Stderr, "hclref: failed to read a request:", err)
			os.Exit(1)
		}
		if err := encoder.Encode(answer(asked)); err != nil {
			fmt.Fprintln(os.Stderr, "hclref: failed to write an answer:", err)
			os.Exit(1)
		}
	}
	if err := out.Flush(); err != nil {
		os.Exit(1)
	}
}

func answer(asked request) (result map[string]any) {
	defer func() {
		if crash := recover(); crash != nil {
			result = map[string]any{"error": fmt.Sprint("crashed: ", crash)}
		}
	}()
	result, err := perform(asked)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	return result
}

func perform(asked request) (map[string]any, error) {
	switch asked.Do {
	case "tree":
		var root ast.Node
		if err := hcl.Decode(&root, asked.Text); err != nil {
			return nil, err
		}
		list, ok := root.(*ast.ObjectList)
		if !ok {
			return nil, fmt.Errorf("the root is a %T", root)
		}
		return map[string]any{"tree": items(list)}, nil
	case "print":
		return printed(asked.Text)
	case "plugins":
		return plugins(asked.Text)
	case "expand":
		return map[string]any{"text": os.Expand(asked.Text, func(key string) string {
			if key == "$" {
				return "$"
			}
			return "7"
		})}, nil
	case "duration":
		duration, err := time.ParseDuration(asked.Text)
		return map[string]any{"nanoseconds": duration.Nanoseconds()}, err
	}
	return nil, fmt.Errorf("unknown request %q", asked.Do)
}

func items(list *ast.ObjectList) []any {
	all := []any{}
	for _, item := range list.Items {
		keys, at := []string{}, []int{}
		for _, key := range item.Keys {
			keys = append(keys, key.Token.Value().(string))
			at = append(at, key.Pos().Line, key.Pos().Column)
		}
		all = append(all, map[string]any{"keys": keys, "at": at, "value": value(item.Val)})
	}
	return all
}

func value(node ast.Node) map[string]any {
	switch node := node.(type) {
	case *ast.ObjectType:
		return map[string]any{"object": items(node.List)}
	case *ast.ListType:
		list := []any{}
		for _, element := range node.List {
			list = append(list, value(element))
		}
		return map[string]any{"list": list}
	case *ast.LiteralType:
		return literal(node.Token)
	}
	panic(fmt.Sprintf("a value is a %T", node))
}

// literal asks for the value also where the spelling is told, so that what cannot be read is an error.
func literal(found token.Token) map[string]any {
	read := found.Value()
	switch found.Type {
	case token.BOOL:
		return map[string]any{"bool": read}
	case token.NUMBER:
		return map[string]any{"integer": found.Text}
	case token.FLOAT:
		return map[string]any{"float": strconv.FormatUint(math.Float64bits(read.(float64)), 10)}
	}
	if found.Text == "" {
		return map[string]any{"null": true}
	}
	return map[string]any{"text": read}
}

type plugin struct {
	Cmd      string   `hcl:"plugin_cmd"`
	Checksum string   `hcl:"plugin_checksum"`
	Data     ast.Node `hcl:"plugin_data"`
}

func dataOf(found plugin) (string, error) {
	if found.Data == nil {
		return "", nil
	}
	var text bytes.Buffer
	err := printer.DefaultConfig.Fprint(&text, found.Data)
	return text.String(), err
}

// printed puts the text into the place of plugin_data, as SPIRE would read it.
func printed(text string) (map[string]any, error) {
	var whole struct {
		Plugin plugin `hcl:"plugin"`
	}
	framed := "plugin { plugin_data {\n" + text + "\n} }"
	if trimmed := bytes.TrimSpace([]byte(text)); len(trimmed) > 0 && trimmed[0] == '{' {
		framed = `{"plugin": {"plugin_cmd": "/plugin", "plugin_data": ` + text + `}}`
	}
	if err := hcl.Decode(&whole, framed); err != nil {
		return nil, err
	}
	data, err := dataOf(whole.Plugin)
	return map[string]any{"text": data}, err
}

// plugins finds them as pkg/common/catalog of SPIRE 1.13.3 and 1.15.3 does: what is no list of items and what is declared
// twice is refused, and the plugins that are decoded must be as many as those that are declared.
func plugins(text string) (map[string]any, error) {
	var whole struct {
		Server       ast.Node               `hcl:"server"`
		Agent        ast.Node               `hcl:"agent"`
		Plugins      ast.Node               `hcl:"plugins"`
		Telemetry    ast.Node               `hcl:"telemetry"`
		HealthChecks ast.Node               `hcl:"health_checks"`
		Unknown      map[string][]token.Pos `hcl:",unusedKeyPositions"`
	}
	if err := hcl.Decode(&whole, text); err != nil {
		return nil, err
	}
	unknown := []string{}
	for key := range whole.Unknown {
		unknown = append(unknown, key)
	}
	sort.Strings(unknown)
	found := []map[string]any{}
	if whole.Plugins == nil {
		return map[string]any{"plugins": found, "unknown": unknown}, nil
	}
	list, ok := whole.Plugins.(*ast.ObjectList)
	if !ok {
		return nil, fmt.Errorf("plugins is a %T", whole.Plugins)
	}
	declared := map[[2]string]int{}
	declare(list, nil, declared)
	for name, times := range declared {
		if times > 1 {
			return nil, fmt.Errorf("plugin %q is declared more than once", name)
		}
	}
	var blocks []map[string]map[string]plugin
	if err := hcl.DecodeObject(&blocks, whole.Plugins); err != nil {
		return nil, err
	}
	for _, block := range blocks {
		for kind, named := range block {
			for name, one := range named {
				data, err := dataOf(one)
				if err != nil {
					return nil, err
				}
				found = append(found, map[string]any{
					"kind": kind, "name": name, "cmd": one.Cmd, "checksum": one.Checksum, "data": data,
				})
			}
		}
	}
	if len(found) != len(declared) {
		return nil, fmt.Errorf("%d plugins are declared, %d are decoded", len(declared), len(found))
	}
	sort.Slice(found, func(i, j int) bool {
		return fmt.Sprint(found[i]["kind"], found[i]["name"]) < fmt.Sprint(found[j]["kind"], found[j]["name"])
	})
	return map[string]any{"plugins": found, "unknown": unknown}, nil
}

// declare counts the plugins: whatever is two keys deep.
func declare(node ast.Node, keys []string, declared map[[2]string]int) {
	switch node := node.(type) {
	case *ast.ObjectList:
		for _, item := range node.Items {
			all := append([]string{}, keys...)
			for _, key := range item.Keys {
				all = append(all, fmt.Sprint(key.Token.Value()))
			}
			if len(all) >= 2 {
				declared[[2]string{all[0], all[1]}]++
			} else {
				declare(item.Val, all, declared)
			}
		}
	case *ast.ObjectType:
		declare(node.List, keys, declared)
	case *ast.ListType:
		for _, element := range node.List {
			declare(element, keys, declared)
		}
	}
}
