"""What a submission's process may do: limits on memory and file size, no other processes, no network, few places to read, one to write.

Two fences. An audit hook sees what Python code attempts, refuses it with a sentence, and keeps a list: that makes the verdict. Landlock,
where the system is Linux with it, refuses the same to native code as well. Neither is a wall against an attacker with time: a container is.
"""

import ctypes
import os
import stat
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

MEMORY_BEFORE = 1 << 30  # bytes of address space that the libraries take before any submission begins
FILE_BYTES = 256 << 20
BLOCK = 4096  # bytes that a file or a folder takes on the disk at least

STARTS = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.startfile", "subprocess.Popen", "pty.spawn")
NETWORK = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg")
CHANGES = ("os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.chown", "os.utime", "os.setxattr", "os.removexattr")
PAIRS = ("os.rename", "os.link", "os.symlink", "shutil.move", "shutil.copyfile")
SIGNALS = ("os.kill", "os.killpg", "signal.pthread_kill")
NATIVE = ("fork", "vfork", "system", "execve", "execv", "posix_spawn", "kill", "popen", "clone")
SYSTEM = ("/usr", "/lib", "/lib64", "/etc", "/opt", "/bin", "/sbin", "/sys", "/System", "/Library")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Refused(PermissionError):
    """Something a submission may not do."""


def limit_memory(memory: int) -> None:
    """Memory in bytes and the size of files, where the system knows such limits; no core dumps."""
    try:
        import resource
    except ImportError:  # Windows: the grader watches the memory alone
        return
    for name, value in (("RLIMIT_DATA", memory + MEMORY_BEFORE), ("RLIMIT_FSIZE", FILE_BYTES), ("RLIMIT_CORE", 0)):
        number = getattr(resource, name)
        hard = resource.getrlimit(number)[1]
        wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(number, (wanted, wanted))
        except (ValueError, OSError):
            continue  # a system that has the name but not the limit


def bytes_kept(folder: str | os.PathLike[str], most: int) -> int:
    """What a folder's content takes on the disk, counted until it is more than `most`; more than that where it cannot all be listed."""
    kept, folders = 0, [os.fspath(folder)]
    while folders and kept <= most:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    with suppress(FileNotFoundError):  # removed meanwhile
                        status = entry.stat(follow_symlinks=False)
                        kept += max(BLOCK, status.st_blocks * 512 if hasattr(status, "st_blocks") else status.st_size)
                        if stat.S_ISDIR(status.st_mode):
                            folders.append(entry.path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:  # nested deeper than paths are long, or closed to be looked into
            return most + 1
    return kept


def confine(readable: Sequence[str], writable: str, report: Callable[[str], object]) -> bool:
    """Put up both fences, for good; `report` is told in a few words what was refused. Returns whether Landlock holds as well."""
    read = [os.path.realpath(path) for path in readable if os.path.isdir(path)]
    write = os.path.realpath(writable)
    locked = _landlock([*read, *SYSTEM, "/proc", "/dev"], write)
    sys.addaudithook(_hook(tuple(read), write, report))
    return locked


def _hook(readable: tuple[str, ...], writable: str, report: Callable[[str], object]) -> Callable[[str, tuple], None]:
    """The audit hook. It holds what it needs itself: names that a submission replaces are none of its own."""
    realpath, fsdecode, getpid, inside = os.path.realpath, os.fsdecode, os.getpid, _inside
    readable = (*readable, *(realpath(path) for path in SYSTEM), *SYSTEM)
    busy: list[int] = []

    def refuse(what: str, why: str) -> None:
        report(what)
        raise Refused(f"{what}: {why}")

    def path_of(value: object) -> str | None:
        return realpath(fsdecode(value)) if isinstance(value, str | bytes | os.PathLike) else None

    def check_file(path: str | None, writing: bool) -> None:
        if path is None or inside(path, (writable,)) or path == "/dev/null":
            return
        if writing:
            refuse(f"writing {path}", "a submission writes in its own folder only.")
        own = ("/proc/self", f"/proc/{getpid()}", "/proc/sys", "/dev")
        public = path == "/proc" or (path.startswith("/proc/") and (not path[6:7].isdigit() or path.endswith(("/stat", "/status"))))
        if path.startswith("/proc/") and path.endswith("/cmdline") and not inside(path, own):
            raise Refused(path)  # plotly asks for its parent's by itself: no reason to name it
        if not (public or inside(path, readable) or inside(path, own)):
            refuse(f"reading {path}", "a submission reads its own folder, Python and novkit only.")

    def hook(event: str, arguments: tuple) -> None:
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, int):
                return
            check_file(path_of(path), bool(isinstance(flags, int) and flags & WRITES) or any(letter in (mode or "") for letter in "wax+"))
        elif event in ("os.listdir", "os.scandir", "os.chdir"):
            check_file(path_of(arguments[0]), False)
        elif event in CHANGES:
            check_file(path_of(arguments[0]), True)
        elif event in PAIRS:
            for path in arguments[:2]:
                check_file(path_of(path), True)
        elif event in STARTS:
            refuse("starting another process", "a submission is one process: num_workers=0, n_jobs=1, no shell commands.")
        elif event in NETWORK:
            address = arguments[1] if len(arguments) > 1 else arguments[0]
            refuse(f"using the network ({str(address)[:60]})", "a submission has none.")
        elif event in SIGNALS and arguments[0] != getpid():
            refuse("stopping another process", "a submission leaves others alone.")
        elif event == "ctypes.dlsym" and str(arguments[1]) in NATIVE:
            refuse(f"calling the C library's {arguments[1]}", "a submission is one process.")

    def guarded(event: str, arguments: tuple) -> None:
        if event in WATCHED and not busy:
            busy.append(1)  # what the hook does itself is not a submission's doing
            try:
                hook(event, arguments)
            finally:
                busy.clear()

    return guarded


WATCHED = frozenset(("open", "os.listdir", "os.scandir", "os.chdir", "ctypes.dlsym", *CHANGES, *PAIRS, *STARTS, *NETWORK, *SIGNALS))


def _inside(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/\\") + os.sep) for folder in folders)


# ---- Landlock: Linux 5.13 and later, without privileges (kernel documentation, userspace-api/landlock) --------------------

CREATE, ADD, RESTRICT = 444, 445, 446  # system calls, the same on every architecture since they came
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
NO_NEW_PRIVILEGES = 38


def _landlock(readable: Sequence[str], writable: str) -> bool:
    """Restrict this process and its threads to come; False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if version < 1:
        return False
    files = (1 << (13 if version < 2 else 14 if version < 3 else 15 if version < 5 else 16)) - 1
    network = 3 if version >= 4 else 0  # bind and connect
    scope = 3 if version >= 6 else 0  # abstract sockets and signals of others
    rules = struct.pack("QQQ", files, network, scope)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = libc.syscall(CREATE, rules, ctypes.c_size_t(len(rules)), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    truncate = files & (1 << 14)
    allowed = [(path, READ_FILE | READ_DIR) for path in readable]
    allowed += [(writable, files & ~EXECUTE), ("/dev/null", READ_FILE | WRITE_FILE | truncate)]
    for path, rights in allowed:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        rule = struct.pack("=Qi", rights, descriptor)
        libc.syscall(ADD, ruleset, 1, rule, ctypes.c_uint32(0))
        os.close(descriptor)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    held = libc.syscall(RESTRICT, ruleset, ctypes.c_uint32(0)) == 0
    os.close(ruleset)
    return bool(held)
