package isf

// metadata decodes what says where the file comes from. What is malformed in it is
// left out.
func (d *decoder) metadata() {
	d.path = append(d.path, "metadata")
	m := &d.contents.Metadata
	for ok := d.object("metadata"); ok; ok = d.more('{') {
		switch string(d.member()) {
		case "format":
			m.Format = string(d.text("format"))
		case "producer":
			m.Producer = d.producer()
		case "linux":
			d.linuxSources(m)
		default:
			d.skip()
		}
	}
	d.sound()
	d.path = d.path[:len(d.path)-1]
}

func (d *decoder) producer() (p Producer) {
	for ok := d.object("producer"); ok; ok = d.more('{') {
		switch string(d.member()) {
		case "name":
			p.Name = string(d.text("name"))
		case "version":
			p.Version = string(d.text("version"))
		case "datetime":
			p.Datetime = string(d.text("datetime"))
		default:
			d.skip()
		}
	}
	return p
}

func (d *decoder) linuxSources(m *Metadata) {
	for ok := d.object("linux"); ok; ok = d.more('{') {
		switch string(d.member()) {
		case "symbols":
			m.Symbols = d.sources()
		case "types":
			m.Types = d.sources()
		default:
			d.skip()
		}
	}
}

func (d *decoder) sources() (sources []Source) {
	if d.peek() != '[' { // null, where a writer had none
		d.skip()
		return nil
	}
	for ok := d.open('['); ok; ok = d.more('[') {
		sources = append(sources, d.source())
	}
	return sources
}

func (d *decoder) source() (s Source) {
	for ok := d.object("source"); ok; ok = d.more('{') {
		switch string(d.member()) {
		case "kind":
			s.Kind = string(d.text("kind"))
		case "name":
			s.Name = string(d.text("name"))
		case "hash_type":
			s.HashType = string(d.text("hash_type"))
		case "hash_value":
			s.HashValue = string(d.text("hash_value"))
		default:
			d.skip()
		}
	}
	return s
}
