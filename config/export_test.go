package config

// Keys lists every key of statuswire.conf.
func Keys() []string {
	var keys []string
	for _, s := range settings() {
		keys = append(keys, s.key)
	}
	return keys
}

// Visitor is visitor.
type Visitor interface {
	Key(name string, line int)
	Include(path string, line int)
	Broken(line int, what string)
	Opened()
	Closed()
}

// Scan is scan.
func Scan(text string, v Visitor) { scan(text, exported{v}) }

type exported struct{ v Visitor }

func (e exported) key(name string, line int)     { e.v.Key(name, line) }
func (e exported) include(path string, line int) { e.v.Include(path, line) }
func (e exported) broken(line int, what string)  { e.v.Broken(line, what) }
func (e exported) opened()                       { e.v.Opened() }
func (e exported) closed()                       { e.v.Closed() }
