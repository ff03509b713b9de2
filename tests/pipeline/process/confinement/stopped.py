"""What stops each attempt: its outcome, and the line of the policy."""

from __future__ import annotations

FILES = "Landlock: only plain files below its own folder"
LINKS = "Seccomp: no link, no special file, no mode"
PROCESSES = "Seccomp: no other process"
PROGRAMS = "Seccomp: no program, no process"
SOCKETS = "Seccomp: no socket"
KERNEL = "Seccomp: no rarely used part of the kernel"
ARGUMENTS = "Seccomp: only these arguments"
UNLISTED = "Seccomp: the call is not listed"

STOPPED = {
    "read_environment_of_parent": ("EACCES", FILES),
    "read_memory_of_parent": ("EACCES", FILES),
    "read_environment_of_service": ("EACCES", FILES),
    "read_memory_of_service": ("EACCES", FILES),
    "list_processes": ("EACCES", FILES),
    "read_queue": ("EACCES", FILES),
    "read_passwords": ("EACCES", FILES),
    "read_other_job": ("EACCES", FILES),
    "list_other_jobs": ("EACCES", FILES),
    "read_store": ("EACCES", FILES),
    "overwrite_derivative": ("EACCES", FILES),
    "remove_derivative": ("EACCES", FILES),
    "write_outside": ("EACCES", FILES),
    "move_outside": ("EACCES", FILES),
    "truncate_derivative": ("EPERM", UNLISTED),
    "link_outside": ("EPERM", LINKS),
    "link_from_outside": ("EPERM", LINKS),
    "plant_symbolic_link": ("EPERM", LINKS),
    "plant_named_pipe": ("EPERM", LINKS),
    "set_user_id_bit": ("EPERM", LINKS),
    "trace_parent": ("SIGSYS", PROCESSES),
    "read_memory_by_call": ("SIGSYS", PROCESSES),
    "write_memory_by_call": ("SIGSYS", PROCESSES),
    "signal_parent": ("SIGSYS", PROCESSES),
    "signal_thread_of_parent": ("SIGSYS", ARGUMENTS),
    "signal_parent_by_descriptor": ("EPERM", ARGUMENTS),
    "open_process": ("SIGSYS", PROCESSES),
    "fork": ("SIGSYS", ARGUMENTS),
    "fork_by_clone3": ("ENOSYS", "Seccomp: clone3 does not exist"),
    "start_program": ("SIGSYS", ARGUMENTS),
    "replace_program": ("SIGSYS", PROGRAMS),
    "connect_by_tcp": ("SIGSYS", SOCKETS),
    "send_by_udp": ("SIGSYS", SOCKETS),
    "connect_to_unix_socket": ("SIGSYS", SOCKETS),
    "connect_to_abstract_socket": ("SIGSYS", SOCKETS),
    "make_socket_pair": ("SIGSYS", SOCKETS),
    "set_up_io_uring": ("SIGSYS", KERNEL),
    "load_program_into_kernel": ("SIGSYS", KERNEL),
    "read_keys": ("SIGSYS", KERNEL),
    "make_namespace": ("SIGSYS", KERNEL),
    "mount_folder": ("SIGSYS", KERNEL),
    "make_file_in_memory": ("EPERM", UNLISTED),
    "map_executable_memory": ("EPERM", ARGUMENTS),
    "raise_limits": ("ValueError: not allowed to raise maximum limit", ARGUMENTS),
    "raise_cpu_limit": ("ValueError: not allowed to raise maximum limit", ARGUMENTS),
    "leave_process_group": ("EPERM", UNLISTED),
    "become_inspectable": ("EPERM", ARGUMENTS),
}
"""What an attempt ends with, and the line of the policy that stops it."""
