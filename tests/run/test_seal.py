"""A hostile method in a real seal: none of the ways gives it a byte of what it may not have."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
from multiprocessing import forkserver
from pathlib import Path

import pytest

from sfda_bench.run.outcome import SealedStageError
from sfda_bench.run.seal import calls, kernel
from sfda_bench.run.seal.guard import Guard, GuardViolationError, landlock_available
from sfda_bench.run.seal.sealed import run_sealed

SECRET = 'label-7f3a91'
KEY = 0x5FDA0
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.shmat.restype = ctypes.c_void_p
needs_landlock = pytest.mark.skipif(not landlock_available(), reason='no Landlock in this kernel')


def call(number: int, *arguments: int) -> int:
    result = LIBC.syscall(number, *map(ctypes.c_long, arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def invoke(name: str, *arguments: int):
    """A system call that must not even begin; arguments are such that it would do no harm."""
    column = 0 if os.uname().machine == 'x86_64' else 1
    number = calls.REFUSED[name][column]

    def way(w) -> bytes:
        # EPERM: the kernel never saw the call, which it would refuse for its arguments
        with pytest.raises(PermissionError):
            call(number, *arguments)
        return b''

    return way


def unix(name: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(name)
        return client.recv(99)


def shared(w) -> bytes:
    handle = LIBC.shmget(KEY, 64, 0)
    return ctypes.string_at(LIBC.shmat(handle, None, 0), 20) if handle >= 0 else b''


def foreign_memory(w) -> bytes:
    out = ctypes.create_string_buffer(64)
    local = (ctypes.c_size_t * 2)(ctypes.addressof(out), 64)
    remote = (ctypes.c_size_t * 2)(w.address, 64)
    size = LIBC.process_vm_readv(w.parent, local, 1, remote, 1, 0)
    return out.raw if size > 0 else b''


def memory_file(w) -> bytes:
    with Path(f'/proc/{w.parent}/mem').open('rb', 0) as stream:
        stream.seek(w.address)
        return stream.read(20)


def descriptors(w) -> bytes:
    return b''.join(
        os.pread(n, 99, 0) for n in range(3, 256) if Path(f'/proc/self/fd/{n}').exists()
    )


def taken_descriptor(w) -> bytes:
    return os.pread(call(438, os.pidfd_open(w.parent), w.handle, 0), 99, 0)


def all_sockets(w) -> bytes:
    """As the fork server was found: every name in the kernel's list of UNIX sockets."""
    found = b''
    for line in Path('/proc/net/unix').read_text().splitlines()[1:]:
        if len(line.split()) > 7:
            found += unix(line.split()[7].replace('@', '\0'))
    return found


def environments(w) -> bytes:
    shown = b''.join(p.read_bytes() for p in Path('/proc').glob('[0-9]*/environ'))
    return shown + repr(dict(os.environ)).encode()


def remounted(w) -> bytes:
    for target in (b'/tmp', b'/work', b'/home', b'/root'):
        LIBC.umount2(target, 2)
    LIBC.unshare(0x10020000)
    LIBC.mount(b'none', b'/tmp', b'proc', 0, None)
    return w.victim.read_bytes()


def new_root(w) -> bytes:
    os.chroot('.')
    return w.victim.read_bytes()


def moved(w) -> bytes:
    w.victim.rename('mine')
    return Path('mine').read_bytes()


def linked(w) -> bytes:
    os.link(w.victim, 'mine')
    return Path('mine').read_bytes()


def pointed(w) -> bytes:
    Path('pointer').symlink_to(w.victim)
    return Path('pointer').read_bytes()


def helper(w) -> bytes:
    handle = os.memfd_create('helper', 0)
    os.write(handle, Path('/bin/cat').resolve().read_bytes())
    name = f'/proc/self/fd/{handle}'
    done = subprocess.run([name, w.victim], pass_fds=[handle], capture_output=True)
    return done.stdout


def device(w) -> bytes:
    os.mknod('disk', 0o60600, Path('/').stat().st_dev)
    return Path('disk').read_bytes()


def traced(w) -> bytes:
    return str(LIBC.ptrace(16, w.parent, 0, 0) == 0 and SECRET).encode()


def signalled(w) -> bytes:
    os.kill(w.parent, signal.SIGUSR1)
    return SECRET.encode()


def written(*places: str):
    def way(w) -> bytes:
        done = b''
        for place in places:
            with contextlib.suppress(OSError):
                (Path(place) / 'sfda_was_here').write_text('x')
                done = SECRET.encode()
        return done

    return way


def grandchild(w) -> bytes:
    program = f'print(open({str(w.victim)!r}).read())'
    return subprocess.run([sys.executable, '-c', program], capture_output=True).stdout


def mapped(w) -> bytes:
    with w.victim.open('rb') as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)[:20]


def tcp(w) -> bytes:
    with socket.create_connection(('127.0.0.1', w.port), 1) as client:
        return client.recv(99)


def agent(w) -> bytes:
    return unix(os.environ['SSH_AUTH_SOCK'])


def queue(w) -> bytes:
    rt = ctypes.CDLL('librt.so.1', use_errno=True)
    return SECRET.encode() if rt.mq_open(b'/sfda', os.O_RDONLY) >= 0 else b''


def machine_socket(w) -> bytes:
    return SECRET.encode() if socket.socket(40, socket.SOCK_STREAM) else b''


def bus(*places: str):
    def way(w) -> bytes:
        done = b''
        for place in places:
            with contextlib.suppress(OSError):
                done += unix(place) + SECRET.encode()
        return done

    return way


def in_c(w) -> bytes:
    handle = LIBC.open(os.fsencode(w.victim), os.O_RDONLY)
    return os.read(handle, 99) if handle >= 0 else b''


def in_c_below(w) -> bytes:
    """By a folder's descriptor and a relative name."""
    folder = LIBC.open(os.fsencode(w.run), os.O_RDONLY | os.O_DIRECTORY)
    name = os.path.relpath(w.victim, w.run)
    handle = LIBC.openat(folder, name.encode(), os.O_RDONLY)
    return os.read(handle, 99) if handle >= 0 else b''


def second_open(w) -> bytes:
    how = (ctypes.c_uint64 * 3)(os.O_RDONLY, 0, 0)
    name = ctypes.create_string_buffer(os.fsencode(w.victim))
    handle = call(437, -100, ctypes.addressof(name), ctypes.addressof(how), 24)
    return os.read(handle, 99)


def in_c_socket(w) -> bytes:
    address = ctypes.create_string_buffer(b'\1\0' + os.fsencode(w.socket))
    with socket.socket(socket.AF_UNIX) as client:
        if LIBC.connect(client.fileno(), address, len(address.raw)) == 0:
            return client.recv(99)
    return b''


def datagram(w) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b'all', str(w.socket))
    return SECRET.encode()


def in_c_listed(w) -> bytes:
    return SECRET.encode() if LIBC.opendir(os.fsencode(w.victim.parent)) else b''


def handle_of_file(w) -> bytes:
    handle = (ctypes.c_ubyte * 136)(128)
    mount, name = ctypes.c_int(), os.fsencode(w.victim)
    LIBC.name_to_handle_at(-100, name, handle, ctypes.byref(mount), 0)
    opened = LIBC.open_by_handle_at(os.open('.', os.O_RDONLY), handle, os.O_RDONLY)
    return os.read(opened, 99) if opened >= 0 else b''


def keys(w) -> bytes:
    """What another process left in the ring of this user."""
    column = 0 if os.uname().machine == 'x86_64' else 1
    find, keyring = calls.REFUSED['request_key'][column], -4
    kind, name = ctypes.c_char_p(b'user'), ctypes.c_char_p(b'sfda')
    key = LIBC.syscall(find, kind, name, None, ctypes.c_long(keyring))
    return SECRET.encode() if key > 0 else b''


def fork_server(w) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(w.fork_server)
    return SECRET.encode()


def child_namespace(w) -> bytes:
    """A child in a user namespace, in which it would be root and might mount."""
    column = 0 if os.uname().machine == 'x86_64' else 1
    made = call(calls.CLONE[column], 0x10020000 | signal.SIGCHLD, 0, 0, 0, 0)
    if made == 0:
        os._exit(0)
    return SECRET.encode()


def foreign_table(w) -> bytes:
    if os.uname().machine != 'x86_64':
        pytest.skip('one call table')
    name = ctypes.create_string_buffer(os.fsencode(w.victim))
    return os.read(call(0x40000002, ctypes.addressof(name), os.O_RDONLY), 99)


def parents(part: str):
    return lambda w: Path(f'/proc/{w.parent}/{part}').read_bytes()


def listed_process(w) -> bytes:
    return repr(list(Path(f'/proc/{w.parent}/fd').iterdir())).encode() + SECRET.encode()


LABEL, PROCESS = 'labels/a.png', 'process '
BUSES = ('/run/dbus/system_bus_socket', f'/run/user/{os.getuid()}/bus')
MANAGERS = ('/run/systemd/private', '/run/docker.sock')
#: Name -> way, and what the failed run says of it; '' where nothing can be said, see docs/seal.md.
WAYS = {
    'open': (lambda w: w.victim.read_bytes(), LABEL),
    'os_open': (lambda w: os.read(os.open(w.victim, os.O_RDONLY), 99), LABEL),
    'listed': (lambda w: repr(list(w.victim.parent.iterdir())).encode(), 'labels'),
    'symlink': (pointed, LABEL),
    'cwd': (lambda w: Path('/proc/self/cwd', os.path.relpath(w.victim)).read_bytes(), LABEL),
    'mmap': (mapped, LABEL),
    'hard_link': (linked, LABEL),
    'rename': (moved, LABEL),
    'subprocess': (grandchild, LABEL),
    'helper_binary': (helper, LABEL),
    'c_open': (in_c, LABEL),
    'c_openat': (in_c_below, LABEL),
    'openat2': (second_open, LABEL),
    'c_listed': (in_c_listed, 'labels'),
    'source': (lambda w: (w.data / 'source/a.png').read_bytes(), 'source/a.png'),
    'truncate': (lambda w: os.truncate(w.victim, 0) or SECRET.encode(), LABEL),
    'run_it': (lambda w: subprocess.run([w.victim], check=False) and SECRET.encode(), LABEL),
    'chdir': (lambda w: os.chdir(w.victim.parent) or SECRET.encode(), 'labels'),
    'other_run': (lambda w: w.other.read_bytes(), 'other/counts.npz'),
    'results': (lambda w: (w.results / 'a.json').read_bytes(), 'results/a.json'),
    'path_socket': (lambda w: unix(str(w.socket)), 'socket '),
    'abstract_socket': (lambda w: unix(w.abstract), 'socket @sfda-seal'),
    'c_socket': (in_c_socket, 'socket '),
    'datagram': (datagram, 'socket '),
    'fork_server': (fork_server, 'socket '),
    'tcp': (tcp, 'socket 127.0.0.1:'),
    'dbus': (bus(*BUSES), 'socket /run/dbus/system_bus_socket'),
    'systemd': (bus(*MANAGERS), 'socket /run/systemd/private'),
    'vm_socket': (machine_socket, 'VM socket'),
    'dev_shm': (lambda w: Path('/dev/shm/sfda_seal_test').read_bytes(), '/dev/shm/sfda_seal_test'),
    'sysv_shm': (shared, f'shm of key {KEY}'),
    'posix_queue': (queue, 'message queue'),
    'parent_environment': (parents('environ'), PROCESS),
    'parent_memory': (memory_file, PROCESS),
    'parent_maps': (parents('maps'), PROCESS),
    'parent_descriptors': (listed_process, PROCESS),
    'parent_descriptor': (lambda w: parents(f'fd/{w.handle}')(w), PROCESS),
    'parent_memfd': (lambda w: parents(f'fd/{w.memory_handle}')(w), PROCESS),
    'parent_root': (lambda w: parents(f'root{w.victim}')(w), PROCESS),
    'taken_descriptor': (taken_descriptor, PROCESS),
    'pidfd_getfd': (invoke('pidfd_getfd', -1, 3, 0), 'system call pidfd_getfd'),
    'signal': (signalled, PROCESS),
    'ptrace': (traced, 'system call ptrace'),
    'foreign_memory': (foreign_memory, 'system call process_vm_readv'),
    'file_handle': (handle_of_file, 'system call open_by_handle_at'),
    'key_ring': (keys, 'system call request_key'),
    'keyctl': (invoke('keyctl', 11, 0, 0, 0), 'system call keyctl'),
    'add_key': (invoke('add_key', 0, 0, 0, 0, 0), 'system call add_key'),
    'io_uring': (invoke('io_uring_setup', 0, 0), 'system call io_uring_setup'),
    'perf': (invoke('perf_event_open', 0, 0, -1, -1, 0), 'system call perf_event_open'),
    'bpf': (invoke('bpf', -1, 0, 0), 'system call bpf'),
    'fanotify': (invoke('fanotify_init', -1, 0), 'system call fanotify_init'),
    'userfaultfd': (invoke('userfaultfd', -1), 'system call userfaultfd'),
    'kcmp': (invoke('kcmp', 1, 1, -1, 0, 0), 'system call kcmp'),
    'open_tree': (invoke('open_tree', -1, 0, 0), 'system call open_tree'),
    'fsopen': (invoke('fsopen', 0, 0), 'system call fsopen'),
    'move_mount': (invoke('move_mount', -1, 0, -1, 0, 0), 'system call move_mount'),
    'setns': (invoke('setns', -1, 0), 'system call setns'),
    'remount': (remounted, 'system call umount2'),
    'chroot': (new_root, 'system call chroot'),
    'new_namespace': (child_namespace, 'new namespace'),
    'foreign_table': (foreign_table, 'system call of a foreign table'),
    'device': (device, 'making a device'),
    'write_software': (written(str(Path(kernel.__file__).parent), sys.prefix), 'writing '),
    'write_data': (lambda w: written(str(w.data / 'images'))(w), 'writing '),
    'cron': (written('/var/spool/cron/crontabs', '/etc/cron.d'), 'writing /etc/cron.d'),
    'stat': (lambda w: str(w.victim.stat()).encode() and SECRET.encode(), ''),
    'all_sockets': (all_sockets, ''),
    'agent': (agent, ''),
    'environments': (environments, ''),
    'inherited_descriptors': (descriptors, ''),
}


class World:
    """What the stage's surroundings offer; every service answers with the secret."""

    def __init__(self, folder: Path) -> None:
        (folder / 'data/labels').mkdir(parents=True)
        (folder / 'data/images').mkdir()
        (folder / 'runs/other').mkdir(parents=True)
        self.run, self.data = folder / 'runs/mine', folder / 'data'
        self.victim, self.other = folder / 'data/labels/a.png', folder / 'runs/other/counts.npz'
        self.run.mkdir()
        self.results = folder / 'results'
        self.results.mkdir()
        (folder / 'data/source').mkdir()
        hidden = (self.data / 'source/a.png', self.results / 'a.json')
        for path in (self.victim, self.other, *hidden, Path('/dev/shm/sfda_seal_test')):
            path.write_text(SECRET)
        (folder / 'data/images/a.png').write_text('fine')
        self.parent, self.handle = os.getpid(), os.open(self.victim, os.O_RDONLY)
        os.set_inheritable(self.handle, True)
        self.memory_handle = os.memfd_create('labels', 0)
        os.write(self.memory_handle, SECRET.encode())
        forkserver.ensure_running()
        self.fork_server = forkserver._forkserver._forkserver_address
        self.memory = ctypes.create_string_buffer(SECRET.encode())
        self.address, self.buffer = ctypes.addressof(self.memory), ctypes.create_string_buffer(240)
        self.socket, self.abstract = folder / 's', '\0sfda-seal-' + folder.name + folder.parent.name
        self.servers = [socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)]
        self.servers.append(socket.socket())
        for server, place in zip(
            self.servers, (str(self.socket), self.abstract, ('127.0.0.1', 0)), strict=True
        ):
            server.bind(place)
            server.listen()
            threading.Thread(target=self._serve, args=(server,), daemon=True).start()
        self.port = self.servers[2].getsockname()[1]
        self.shared = LIBC.shmget(KEY, 64, 0o1666)
        ctypes.memmove(LIBC.shmat(self.shared, None, 0), SECRET.encode(), len(SECRET))

    @staticmethod
    def _serve(server: socket.socket) -> None:
        while True:
            try:
                client = server.accept()[0]
            except OSError:
                return
            client.sendall(SECRET.encode())
            client.close()

    def close(self) -> None:
        for server in self.servers:
            server.shutdown(socket.SHUT_RDWR)
            server.close()
        os.close(self.handle)
        os.close(self.memory_handle)
        LIBC.shmctl(self.shared, 0, None)
        Path('/dev/shm/sfda_seal_test').unlink()

    def guard(self) -> Guard:
        others = [self.run.parent, self.results]
        return Guard([self.data / 'images'], [self.run], [self.data], others)

    def sealed(self, way) -> dict:
        """What a way brings, whatever it raises: a method that swallows its errors."""

        def body() -> dict:
            # The ways would do harm where the seal has no namespaces of its own.
            if os.getpid() != 1 and way in [item[0] for item in WAYS.values()]:
                raise RuntimeError('not inside a PID namespace')
            os.chdir(self.run)
            try:
                return {'got': way(self).decode('latin-1')}
            except (OSError, KeyError, ValueError, AttributeError) as error:
                return {'got': '', 'error': repr(error)}

        return run_sealed(self.guard(), body)


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.setenv('SSH_AUTH_SOCK', str(tmp_path / 's'))
    monkeypatch.setenv('SFDA_TEST_TOKEN', SECRET)
    world = World(tmp_path)
    yield world
    world.close()


def complete() -> bool:
    """Whether this machine lets a full seal be put on."""
    done = subprocess.run(['unshare', '-Urmnip', '--fork', 'true'], capture_output=True)
    return done.returncode == 0 and kernel.landlock_abi() >= 6


@pytest.mark.skipif(not complete(), reason='no user namespaces or no Landlock scopes here')
@pytest.mark.parametrize('name', WAYS)
def test_no_way_gives_a_byte(world, name):
    """The run fails and names the way; where there is nothing to name, it goes on with nothing."""
    way, named = WAYS[name]
    if named:
        with pytest.raises(GuardViolationError) as error:
            world.sealed(way)
        assert named in str(error.value) and SECRET not in str(error.value)
    else:
        found = world.sealed(way)
        assert found['guard']['verdict'] == 'sealed' and found['guard']['missing'] == []
        assert SECRET not in json.dumps(found)


OUTSIDE = [
    'sysv_shm', 'tcp', 'dev_shm', 'agent', 'path_socket', 'c_open', 'c_openat', 'openat2',
    'c_socket', 'c_listed', 'other_run', 'results', 'source', 'parent_memfd', 'parent_memory',
    'parent_root', 'fork_server',
]  # fmt: skip


@pytest.mark.parametrize('name', OUTSIDE)
def test_the_ways_lead_somewhere_outside_of_the_seal(world, name):
    assert SECRET in WAYS[name][0](world).decode('latin-1')


@needs_landlock
def test_a_seal_lets_honest_work_through(world):
    """What libraries do by themselves is neither refused nor named."""

    def honest(w) -> bytes:
        import pwd

        pwd.getpwuid(os.getuid())
        server = socket.socket()
        server.bind(('127.0.0.1', 0))
        with contextlib.suppress(ConnectionRefusedError):  # too early, as ranks are
            socket.create_connection(server.getsockname())
        server.listen()
        socket.create_connection(('localhost', server.getsockname()[1])).close()
        Path('out.txt').write_text('kept')
        Path('link').symlink_to('out.txt')
        Path('link').read_text()
        child = subprocess.Popen(['true'])
        child.wait()
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, 0)
        return (w.data / 'images/a.png').read_bytes()

    found = world.sealed(honest)
    assert (found['got'], found.get('error')) == ('fine', None)
    assert (world.run / 'out.txt').read_text() == 'kept'


def test_shared_memory_of_its_own_is_let_through(world):
    def honest(w) -> bytes:
        import multiprocessing.shared_memory as shared_memory

        memory = shared_memory.SharedMemory(create=True, size=8)
        shared_memory.SharedMemory(memory.name).close()
        memory.close()
        memory.unlink()
        return (w.data / 'images/a.png').read_bytes()

    found = world.sealed(honest)
    assert (found['got'], found.get('error')) == ('fine', None)


def test_an_inherited_object_that_dies_closes_nothing_of_the_stage(world):
    held = [os.fdopen(handle, mode) for handle, mode in zip(os.pipe(), ('rb', 'wb'), strict=True)]

    def honest(w) -> bytes:
        pipes = [os.pipe() for _ in range(8)]
        for inherited in held:
            inherited.close()
        for reader, writer in pipes:
            os.write(writer, b'x')
            assert os.read(reader, 1) == b'x'
        return (w.data / 'images/a.png').read_bytes()

    found = world.sealed(honest)
    for inherited in held:
        inherited.close()
    assert (found['got'], found.get('error')) == ('fine', None)


def test_the_verdict_names_what_is_missing(world, monkeypatch):
    def refused() -> None:
        raise PermissionError(1, 'Operation not permitted')

    monkeypatch.setattr('sfda_bench.run.seal.namespaces.enter', refused)
    found = world.sealed(lambda w: b'')['guard']
    assert found['verdict'] in ('files only', 'audited')
    assert 'namespaces (Operation not permitted)' in found['missing']
    mounts = Path('/proc/self/mountinfo').read_text()
    assert str(world.run) not in mounts


@pytest.mark.skipif(not complete(), reason='no user namespaces or no Landlock scopes here')
def test_where_a_container_listens_already_calls_are_refused_unnamed():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        first, second = calls.forbid(watched=True), calls.forbid(watched=True)
        ring = calls.REFUSED['io_uring_setup'][0]
        refused = LIBC.syscall(ring, 8, 0) < 0 and ctypes.get_errno() == errno.EPERM
        os.write(writer, repr((first is not None, second, refused)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 99) == b'(True, None, True)'
    os.close(reader)
    os.close(writer)


def test_nothing_is_mounted_where_others_live(world):
    before = Path('/proc/self/mountinfo').read_text()
    with pytest.raises(RuntimeError, match='outside'):
        kernel.mount('tmpfs', str(world.run), 'tmpfs', 0)
    with pytest.raises(RuntimeError, match='outside'):
        kernel.part_mounts()
    assert Path('/proc/self/mountinfo').read_text() == before


def test_an_end_by_error_or_signal_is_told(world):
    def fails(w) -> bytes:
        raise RuntimeError('no luck')

    with pytest.raises(SealedStageError, match='RuntimeError: no luck') as error:
        world.sealed(fails)
    assert error.value.state == 'failed'
