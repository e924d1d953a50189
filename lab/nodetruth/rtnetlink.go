package main

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// routing adds what the kernel answers to questions of rtnetlink(7), as it is: ip does not know all of it.
func (a *archive) routing(dir string) {
	for name, question := range map[string]uint16{"rtnl_rule": unix.RTM_GETRULE, "rtnl_link": unix.RTM_GETLINK} {
		if answer, err := ask(question); err == nil {
			a.add(dir+name, answer)
		}
	}
}

// ask returns the messages of a dump, those of all families.
func ask(question uint16) (answer []byte, err error) {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	defer unix.Close(s)
	request := make([]byte, unix.NLMSG_HDRLEN+unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(request, uint32(len(request)))
	binary.NativeEndian.PutUint16(request[4:], question)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	if err := unix.Sendto(s, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	buf := make([]byte, 1<<16)
	for {
		n, _, err := unix.Recvfrom(s, buf, 0)
		if err != nil {
			return answer, err
		}
		answer = append(answer, buf[:n]...)
		for m := buf[:n]; len(m) >= unix.NLMSG_HDRLEN; {
			if kind := binary.NativeEndian.Uint16(m[4:]); kind == unix.NLMSG_DONE || kind == unix.NLMSG_ERROR {
				return answer, nil
			}
			m = m[min(len(m), max(unix.NLMSG_HDRLEN, int(binary.NativeEndian.Uint32(m)+3)&^3)):]
		}
	}
}
