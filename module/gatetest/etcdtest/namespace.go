//go:build linux

package etcdtest

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace. The kernel removes it when this process and
// all that run in it have closed it, so nothing is left over after a crash.
type namespace struct {
	file *os.File
	// device is this process's end of the namespace's only way out. Each read
	// returns an IP packet that was sent, and each write delivers one.
	device *os.File
}

// newNamespace makes a namespace with a loopback device and one that has an
// address in a network.
func newNamespace(addr netip.Prefix) (n namespace, err error) {
	err = onThread(func() error { return unix.Unshare(unix.CLONE_NEWNET) }, func() error {
		if n.file, err = os.Open(threadNamespace); err != nil {
			return err
		}
		n.device, err = openDevice(addr)
		return err
	})
	if err != nil && n.file != nil {
		_ = n.file.Close() // the first error says it
	}
	return n, err
}

const threadNamespace = "/proc/thread-self/ns/net"

// inside calls f on a thread that is in the namespace. Sockets stay in the
// namespace that they are made in.
func (n namespace) inside(f func() error) error {
	return onThread(func() error { return unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET) }, f)
}

// onThread calls enter, which takes the thread to another namespace, and f there.
// Then it takes the thread back.
func onThread(enter, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open(threadNamespace)
	if err != nil {
		return err
	}
	defer home.Close() //nolint:errcheck // it was only read
	if err := enter(); err != nil {
		return err
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(fmt.Sprintf("a thread stays in another network namespace: %v", back))
	}
	return err
}

const (
	deviceName = "tun0"
	// deviceMTU is large, because each packet passes through this process.
	deviceMTU = 60_000
)

// openDevice makes the device of the thread's namespace.
func openDevice(addr netip.Prefix) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	err = set(fd, deviceName, unix.TUNSETIFF, func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI); return nil })
	if err = errors.Join(err, configure(addr)); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), deviceName), nil
}

// configure gives the devices of the thread's namespace their addresses.
func configure(addr netip.Prefix) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	up := func(r *unix.Ifreq) error { r.SetUint16(unix.IFF_UP | unix.IFF_RUNNING); return nil }
	mask := netip.AddrFrom4([4]byte{255, 255, 255, 0})
	return errors.Join(
		set(fd, "lo", unix.SIOCSIFFLAGS, up),
		set(fd, deviceName, unix.SIOCSIFADDR, func(r *unix.Ifreq) error { return r.SetInet4Addr(addr.Addr().AsSlice()) }),
		set(fd, deviceName, unix.SIOCSIFNETMASK, func(r *unix.Ifreq) error { return r.SetInet4Addr(mask.AsSlice()) }),
		set(fd, deviceName, unix.SIOCSIFMTU, func(r *unix.Ifreq) error { r.SetUint32(deviceMTU); return nil }),
		set(fd, deviceName, unix.SIOCSIFFLAGS, up),
		unix.Close(fd),
	)
}

// set changes one thing of a device.
func set(fd int, device string, what uint, fill func(*unix.Ifreq) error) error {
	request, err := unix.NewIfreq(device)
	if err != nil {
		return err
	}
	if err := fill(request); err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, what, request); err != nil {
		return fmt.Errorf("%s, request %#x: %w", device, what, err)
	}
	return nil
}
