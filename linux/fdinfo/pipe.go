package fdinfo

import (
	"context"

	"github.com/nodelens/nodelens/isf"
	"github.com/nodelens/nodelens/kstruct"
	"github.com/nodelens/nodelens/linux"
	"github.com/nodelens/nodelens/vmem"
)

// A Pipe is a pipe or a FIFO (struct pipe_inode_info), with who has its ends and what was written to it and not read.
type Pipe struct {
	Inode   uint64        `json:"inode"`
	Path    string        `json:"path" jsonx:"null"`
	Readers []Holder      `json:"readers"`
	Writers []Holder      `json:"writers"`
	Data    []byte        `json:"data"` // in base64; without the parts that could not be read
	Lost    uint64        `json:"lost"` // bytes of those
	Address vmem.VirtAddr `json:"address"`
}

type pipeStruct struct {
	Head uint32        `kernel:"head"`
	Tail uint32        `kernel:"tail"`
	Size uint32        `kernel:"ring_size"`
	Bufs vmem.VirtAddr `kernel:"bufs"`
}

type pipeBuffer struct {
	Page   vmem.VirtAddr `kernel:"page"`
	Offset uint32        `kernel:"offset"`
	Len    uint32        `kernel:"len"`
}

type pipeViews struct {
	pipe   *kstruct.View[pipeStruct]
	buffer *kstruct.View[pipeBuffer]
	err    error
}

func bindPipes(types *isf.File) (v pipeViews) {
	b := kstruct.NewBinder(types)
	v.pipe = kstruct.Bind[pipeStruct](b, "pipe_inode_info")
	v.buffer = kstruct.Bind[pipeBuffer](b, "pipe_buffer")
	v.err = b.Err()
	return v
}

// Kinds of inodes (include/uapi/linux/stat.h).
const (
	modeKind = 0o170000
	modeFIFO = 0o010000
)

// maxPipe bounds the buffers of a pipe: fs.pipe-max-size can be 2 GiB, in pages.
const maxPipe = 1 << 19

// Pipes returns the pipes and FIFOs that tasks have open. gaps are what was lost; the error is the context's own.
func (r *Reader) Pipes(ctx context.Context, tasks []*linux.Task) (pipes []Pipe, gaps []vmem.Gap, err error) {
	opened, gaps, err := r.opened(ctx, tasks)
	if err != nil {
		return nil, gaps, err
	}
	pages, pErr := r.k.Pages()
	if pErr != nil {
		gaps = append(gaps, vmem.NewGap("content of pipes", vmem.Place{}, pErr))
	}
	index := map[vmem.VirtAddr]int{}
	for _, at := range opened.order {
		f, i, err := r.file(at)
		if err != nil { // it may be a pipe
			gaps = append(gaps, vmem.NewGap("content of "+opened.paths[at], vmem.KernelPlace(at), err))
		}
		if err != nil || i.Mode&modeKind != modeFIFO || i.Pipe == 0 {
			continue
		}
		n, known := index[i.Pipe]
		if !known {
			p := Pipe{Inode: i.Number, Path: opened.paths[at], Readers: []Holder{}, Writers: []Holder{}, Data: []byte{}, Address: i.Pipe}
			if err := r.content(&p, pages); err != nil {
				gaps = append(gaps, vmem.NewGap("content of "+p.Path, vmem.KernelPlace(i.Pipe), err))
			}
			n = len(pipes)
			index[i.Pipe] = n
			pipes = append(pipes, p)
		}
		if f.Mode&modeRead != 0 {
			pipes[n].Readers = append(pipes[n].Readers, opened.holders[at]...)
		}
		if f.Mode&modeWrite != 0 {
			pipes[n].Writers = append(pipes[n].Writers, opened.holders[at]...)
		}
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
	}
	return pipes, gaps, nil
}

// content reads what is in a pipe.
func (r *Reader) content(p *Pipe, pages *linux.Pages) error {
	v := &r.views.pipes
	s, err := v.pipe.Load(r.mem, p.Address)
	if err != nil {
		return cause(err, v.err)
	}
	used := s.Head - s.Tail
	if s.Size&(s.Size-1) != 0 || s.Size > maxPipe || used > s.Size {
		return corrupt("pipe of %d buffers, from %d to %d", s.Size, s.Tail, s.Head)
	}
	var first error
	for n := s.Tail; n != s.Head; n++ {
		b, err := v.buffer.Load(r.mem, s.Bufs+vmem.VirtAddr(uint64(n&(s.Size-1))*v.buffer.Size()))
		if err == nil && (b.Len > maxBuffer || b.Offset > maxBuffer) {
			err = corrupt("buffer of %d bytes at %d", b.Len, b.Offset)
			b.Len = 0
		}
		if err == nil && b.Len > 0 {
			err = r.buffer(p, &b, pages)
		}
		if err != nil {
			p.Lost += uint64(b.Len)
			if first == nil {
				first = err
			}
		}
	}
	return first
}

// maxBuffer bounds one buffer of a pipe. splice can put parts of larger pages in.
const maxBuffer = 1 << 30

// maxData bounds what is told of a pipe's content.
const maxData = 1 << 20

// buffer adds one buffer of a pipe.
func (r *Reader) buffer(p *Pipe, b *pipeBuffer, pages *linux.Pages) error {
	if pages == nil {
		return kstruct.ErrUnsupported
	}
	if len(p.Data)+int(b.Len) > maxData {
		return kstruct.ErrTooLong
	}
	at, err := pages.Memory(b.Page)
	if err != nil {
		return err
	}
	data := make([]byte, b.Len)
	if _, err := r.k.Physical().ReadAt(data, int64(at)+int64(b.Offset)); err != nil {
		return err
	}
	p.Data = append(p.Data, data...)
	return nil
}
