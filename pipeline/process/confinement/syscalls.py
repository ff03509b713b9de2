"""The system calls of the policy, with their numbers on x86-64 and on arm64.

Sources: `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h` of Linux 6.12. A call that an
architecture does not have is None there: arm64 has no `open`, only `openat`.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Architecture = Literal["x86_64", "arm64"]


class Numbers(NamedTuple):
    """The numbers of one system call."""

    x86_64: int | None
    arm64: int | None

    def on(self, architecture: Architecture) -> int | None:
        """Return the number on one architecture."""
        return self.x86_64 if architecture == "x86_64" else self.arm64


ALLOWED: Final = {
    # Bytes of open files
    "read": Numbers(0, 63),
    "write": Numbers(1, 64),
    "pread64": Numbers(17, 67),
    "pwrite64": Numbers(18, 68),
    "readv": Numbers(19, 65),
    "writev": Numbers(20, 66),
    "lseek": Numbers(8, 62),
    "close": Numbers(3, 57),
    "dup": Numbers(32, 23),
    "fstat": Numbers(5, 80),
    "ftruncate": Numbers(77, 46),
    "fsync": Numbers(74, 82),
    "fdatasync": Numbers(75, 83),
    "fadvise64": Numbers(221, 223),
    # Names of files; Landlock decides which
    "open": Numbers(2, None),
    "openat": Numbers(257, 56),
    "stat": Numbers(4, None),
    "lstat": Numbers(6, None),
    "newfstatat": Numbers(262, 79),
    "statx": Numbers(332, 291),
    "access": Numbers(21, None),
    "faccessat": Numbers(269, 48),
    "faccessat2": Numbers(439, 439),
    "readlink": Numbers(89, None),
    "readlinkat": Numbers(267, 78),
    "getcwd": Numbers(79, 17),
    "getdents64": Numbers(217, 61),
    "unlink": Numbers(87, None),
    "unlinkat": Numbers(263, 35),
    "rename": Numbers(82, None),
    "renameat": Numbers(264, 38),
    "renameat2": Numbers(316, 276),
    # Memory
    "munmap": Numbers(11, 215),
    "mremap": Numbers(25, 216),
    "brk": Numbers(12, 214),
    "madvise": Numbers(28, 233),
    "membarrier": Numbers(324, 283),
    # Threads
    "futex": Numbers(202, 98),
    "set_robust_list": Numbers(273, 99),
    "set_tid_address": Numbers(218, 96),
    "rseq": Numbers(334, 293),
    "sched_yield": Numbers(24, 124),
    "sched_getaffinity": Numbers(204, 123),
    "gettid": Numbers(186, 178),
    "exit": Numbers(60, 93),
    "exit_group": Numbers(231, 94),
    "restart_syscall": Numbers(219, 128),
    # Signals to itself
    "rt_sigaction": Numbers(13, 134),
    "rt_sigprocmask": Numbers(14, 135),
    "rt_sigreturn": Numbers(15, 139),
    "sigaltstack": Numbers(131, 132),
    # Time
    "clock_gettime": Numbers(228, 113),
    "clock_getres": Numbers(229, 114),
    "clock_nanosleep": Numbers(230, 115),
    "nanosleep": Numbers(35, 101),
    "gettimeofday": Numbers(96, 169),
    "times": Numbers(100, 153),
    # Waiting for its pipes
    "poll": Numbers(7, None),
    "ppoll": Numbers(271, 73),
    # What it is
    "getpid": Numbers(39, 172),
    "getppid": Numbers(110, 173),
    "getuid": Numbers(102, 174),
    "geteuid": Numbers(107, 175),
    "getgid": Numbers(104, 176),
    "getegid": Numbers(108, 177),
    "getrusage": Numbers(98, 165),
    "uname": Numbers(63, 160),
    "sysinfo": Numbers(99, 179),
    "getrandom": Numbers(318, 278),
}
"""Calls that succeed with any arguments."""

CHECKED: Final = {
    "clone": Numbers(56, 220),
    "fcntl": Numbers(72, 25),
    "ioctl": Numbers(16, 29),
    "mmap": Numbers(9, 222),
    "mprotect": Numbers(10, 226),
    "prctl": Numbers(157, 167),
    "prlimit64": Numbers(302, 261),
    "tgkill": Numbers(234, 131),
}
"""Calls that succeed with some arguments; `pipeline.process.confinement.seccomp` has the conditions."""

ABSENT: Final = {
    "clone3": Numbers(435, 435),
    "openat2": Numbers(437, 437),
}
"""Calls that fail with ENOSYS, as on an old kernel: their arguments lie in memory, where no filter can see them.

The C library then makes the older call instead (`clone`, `openat`), whose arguments are checked.
"""

KILLED: Final = {
    # Other processes: their memory, signals, descriptors
    "ptrace": Numbers(101, 117),
    "process_vm_readv": Numbers(310, 270),
    "process_vm_writev": Numbers(311, 271),
    "process_madvise": Numbers(440, 440),
    "process_mrelease": Numbers(448, 448),
    "kcmp": Numbers(312, 272),
    "pidfd_open": Numbers(434, 434),
    "pidfd_getfd": Numbers(438, 438),
    "pidfd_send_signal": Numbers(424, 424),
    "kill": Numbers(62, 129),
    "tkill": Numbers(200, 130),
    "rt_sigqueueinfo": Numbers(129, 138),
    "rt_tgsigqueueinfo": Numbers(297, 240),
    # Programs and processes
    "execve": Numbers(59, 221),
    "execveat": Numbers(322, 281),
    "fork": Numbers(57, None),
    "vfork": Numbers(58, None),
    # The network, and sockets of any family
    "socket": Numbers(41, 198),
    "socketpair": Numbers(53, 199),
    "connect": Numbers(42, 203),
    "bind": Numbers(49, 200),
    "listen": Numbers(50, 201),
    "accept": Numbers(43, 202),
    "accept4": Numbers(288, 242),
    "sendto": Numbers(44, 206),
    "sendmsg": Numbers(46, 211),
    "sendmmsg": Numbers(307, 269),
    "recvfrom": Numbers(45, 207),
    "recvmsg": Numbers(47, 212),
    "recvmmsg": Numbers(299, 243),
    # Parts of the kernel in which holes are often found
    "io_uring_setup": Numbers(425, 425),
    "io_uring_enter": Numbers(426, 426),
    "io_uring_register": Numbers(427, 427),
    "bpf": Numbers(321, 280),
    "userfaultfd": Numbers(323, 282),
    "perf_event_open": Numbers(298, 241),
    "keyctl": Numbers(250, 219),
    "add_key": Numbers(248, 217),
    "request_key": Numbers(249, 218),
    # Other namespaces, roots and mounts
    "unshare": Numbers(272, 97),
    "setns": Numbers(308, 268),
    "chroot": Numbers(161, 51),
    "pivot_root": Numbers(155, 41),
    "mount": Numbers(165, 40),
    "umount2": Numbers(166, 39),
    "open_tree": Numbers(428, 428),
    "move_mount": Numbers(429, 429),
    "fsopen": Numbers(430, 430),
    "fsconfig": Numbers(431, 431),
    "fsmount": Numbers(432, 432),
    "fspick": Numbers(433, 433),
    "mount_setattr": Numbers(442, 442),
    "open_by_handle_at": Numbers(304, 265),
    # Other rights
    "setuid": Numbers(105, 146),
    "setgid": Numbers(106, 144),
    "setreuid": Numbers(113, 145),
    "setregid": Numbers(114, 143),
    "setresuid": Numbers(117, 147),
    "setresgid": Numbers(119, 149),
    "setgroups": Numbers(116, 159),
    "setfsuid": Numbers(122, 151),
    "setfsgid": Numbers(123, 152),
    "capset": Numbers(126, 91),
    "personality": Numbers(135, 92),
    # The machine
    "init_module": Numbers(175, 105),
    "finit_module": Numbers(313, 273),
    "delete_module": Numbers(176, 106),
    "kexec_load": Numbers(246, 104),
    "kexec_file_load": Numbers(320, 294),
    "reboot": Numbers(169, 142),
    "swapon": Numbers(167, 224),
    "swapoff": Numbers(168, 225),
    "acct": Numbers(163, 89),
    "syslog": Numbers(103, 116),
    "quotactl": Numbers(179, 60),
    "settimeofday": Numbers(164, 170),
    "clock_settime": Numbers(227, 112),
    "sethostname": Numbers(170, 161),
    "setdomainname": Numbers(171, 162),
    "iopl": Numbers(172, None),
    "ioperm": Numbers(173, None),
    "modify_ldt": Numbers(154, None),
}
"""Calls that end the process: decoding needs none of them, so only an attack makes them.

Every call that is in none of these tables fails with EPERM.
"""

SECCOMP: Final[dict[Architecture, int]] = {"x86_64": 317, "arm64": 277}

LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
"""A call newer than Linux 5.1 has the same number on every architecture."""
