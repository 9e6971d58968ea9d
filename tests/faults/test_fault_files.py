"""Faults of the file system: 26 to 29."""
import concurrent.futures
import json
import os
import resource
import shutil
import signal
import socket
import stat

import pytest

import system
from bases import KV, KV_DATA, kv_base, kv_run, toml
from harness import EX_CONFIG, EX_IO, observe, wait_for
from harness.agent import PROGRAM

NOTIFY = 'notify.command = ["/bin/sh", "-c", "echo $KEYBEARER_EVENT >> alarms"]\n'
DISK = "out/disk"
BIG = 40_000  # of a disk that holds 64 KiB


def on_disk(s, in_place=False):
    """A program whose file lies on the small disk."""
    text = toml(KV, interval="1s", app=s.app_toml("--file", f"{DISK}/config.ini"), top=NOTIFY, exec='debounce = "100ms"')
    if in_place:
        text = text.replace("destination", "in_place = true\ndestination")
    return s.run(text.replace('"out/config.ini"', f'"{DISK}/config.ini"'))


def big(s, name):
    return s.canary(name) + "-" * BIG


def temporaries(s, directory=DISK):
    return [name for name in os.listdir(s.path(directory)) if ".keybearer-" in name]


# --- 26: full

def full_later(s, mounts):
    """A running program, a disk that is full, and a new value that it can't hold."""
    value = kv_base(s)
    disk = mounts.tmpfs(DISK)
    agent = on_disk(s)
    s.runlog.wait_starts(1, 5)
    filler = system.fill(disk)
    new = big(s, "kv-second")
    s.vault.put(KV_DATA, {"value": new})
    agent.wait_line(f"{DISK}/config.ini", "no space", timeout=4)
    return agent, value, new, filler


def test_F26_a_full_disk_keeps_the_old_file_and_tells(s, mounts):
    agent, value, _, _ = full_later(s, mounts)
    wait_for(lambda: s.read("alarms"), 2, "the alarm")
    observe(1.5, lambda: None, 0.5)
    assert s.read(f"{DISK}/config.ini") == f"value = {value}" and not temporaries(s) and agent.alive


def test_F26_the_program_is_not_told_of_a_file_that_is_not_there(s, mounts):
    full_later(s, mounts)
    observe(2, lambda: None, 0.5)
    assert len(s.runlog.starts()) == 1 and not s.runlog.signals()


def test_F26_written_once_there_is_room_again(s, mounts):
    """No other change of the secret is needed for it."""
    _, _, new, filler = full_later(s, mounts)
    os.unlink(filler)
    wait_for(lambda: s.read(f"{DISK}/config.ini") == f"value = {new}", 8, "the new file")
    wait_for(lambda: s.runlog.starts()[-1]["files"][f"{DISK}/config.ini"] == f"value = {new}", 3, "the program has it")


def test_F26_a_full_disk_at_the_start(s, mounts):
    kv_base(s, value=big(s, "kv-first"))
    system.fill(mounts.tmpfs(DISK))
    agent = on_disk(s)
    assert agent.wait_exit(5) == EX_IO and f"{DISK}/config.ini" in agent.stderr
    assert os.listdir(s.path(DISK)) == ["filler"] and not s.runlog.starts()
    assert s.tap.last().path == "auth/token/revoke-self", s.tap


def test_F26_a_full_disk_in_place(s, mounts):
    """A file that is written in place is made room for first: never half new and half old."""
    value = kv_base(s)
    disk = mounts.tmpfs(DISK)
    agent = on_disk(s, in_place=True)
    s.runlog.wait_starts(1, 5)
    filler = system.fill(disk)
    os.truncate(filler, os.path.getsize(filler) - 8192)  # room for a part of it
    s.vault.put(KV_DATA, {"value": big(s, "kv-second")})
    agent.wait_line(f"{DISK}/config.ini", "no space", timeout=4)
    assert s.read(f"{DISK}/config.ini") == f"value = {value}"


def test_F26_no_room_for_the_log(s, mounts):
    """The log is lost, and nothing else; it goes on when there is room."""
    kv_base(s)
    disk = mounts.tmpfs(DISK)
    filler = system.fill(disk)
    agent = kv_run(s, top=f'log_file = "{DISK}/log"')
    s.runlog.wait_starts(1, 5)
    os.unlink(filler)
    s.vault.put(KV_DATA, {"value": s.canary("kv-second")})
    s.runlog.wait_starts(2, 5)
    assert agent.alive and "restart" in s.read(f"{DISK}/log")


def test_F26_a_file_larger_than_the_limit(s):
    """RLIMIT_FSIZE: an error like a full disk, no death by SIGXFSZ."""
    kv_base(s, value=big(s, "kv-first"))
    agent = s.start("render", "-c", s.config(RENDER), "--once", preexec=system.limit(resource.RLIMIT_FSIZE, 16384))
    assert agent.wait_exit(5) == EX_IO and "out/one" in agent.stderr, agent.stderr
    assert not os.listdir(s.path("out"))


# --- 26 and 29: an error, and death, at each system call of writing. No server is needed for it.

RENDER = '''
[vault]
address = "@addr@"
[auto_auth.method]
type = "approle"
role_id_file_path = "boot/role-id"
secret_id_file_path = "boot/secret-id"
[[template]]
destination = "out/one"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}'
'''
OFFLINE = '''
[[template]]
destination = "out/one"
perms = "0640"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}'
[[template]]
destination = "out/two"
backup = true
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}'
'''
WRITING = ("open", "openat", "newfstatat", "fstat", "fchmod", "fchmodat", "flock", "write", "pread64", "read", "fsync", "linkat",
           "unlinkat", "renameat", "rename", "mkdir", "close", "getdents64", "readlinkat", "readlink", "fcntl")


class Offline:
    """keybearer render --once --values in directories of its own, many at a time."""

    def __init__(self, s):
        self.s, self.new = s, "new-" + s.canary("made-up") * 50
        s.write("v.json", json.dumps({"kv/data/app": {"data": {"value": self.new}}}))
        s.allow("v.json")
        self.args = ("render", "-c", "a.toml", "--once", "--values", "v.json")
        self._prepare("first")
        self.calls = system.count_calls(_At(s, self._directory("first")), WRITING, *self.args)

    def _directory(self, name):
        return self.s.path(f"out/{name}")

    def _prepare(self, name):
        directory = self._directory(name)
        os.makedirs(f"{directory}/out", mode=0o700)
        for file, text in (("a.toml", OFFLINE), ("v.json", self.s.read("v.json")), ("out/one", "old"), ("out/two", "old")):
            with open(f"{directory}/{file}", "w", encoding="utf-8") as opened:
                os.fchmod(opened.fileno(), 0o600)
                opened.write(text)
        return directory

    def run(self, fault):
        """(fault, exit code, stderr, {file: (content, mode)})"""
        directory = self._prepare(fault.replace(":", "_"))
        code, said = system.run_injected(_At(self.s, directory), fault, *self.args)
        return fault, code, said, self._files(directory)

    @staticmethod
    def _files(directory):
        found = {}
        for name in os.listdir(f"{directory}/out"):
            with open(f"{directory}/out/{name}", encoding="utf-8") as file:
                found[name] = (file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode))
        return found

    def all(self, faults):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return list(pool.map(self.run, faults))

    def problems(self, results, killed):
        found = []
        for fault, code, said, files in results:
            state = {name: content for name, (content, _) in files.items()}
            left = [name for name in files if ".keybearer-" in name]
            if any(state.get(name) not in ("old", self.new) for name in ("one", "two")):
                found.append(f"{fault}: neither old nor new: {sorted(state)}")
            if any(files[name][0] and files[name][1] & ~(0o640 if name.startswith(".one") else 0o600) for name in left):
                found.append(f"{fault}: a temporary file of a wider mode")
            if killed:
                continue
            if code < 0 or code == 70:
                found.append(f"{fault}: ended with {code}: {said[-200:]}")
            if code == 0 and (state["one"], state["two"]) != (self.new, self.new):
                found.append(f"{fault}: says that all is well and it is not")
            if code != 0 and not said.strip():
                found.append(f"{fault}: ended with {code} and not a word")
            if left and not fault.startswith("unlink"):
                found.append(f"{fault}: left behind {left}")
        return found


class _At:
    def __init__(self, s, directory):
        self.work, self.logs, self.environment = directory, s.logs, s.environment


@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "ENOMEM", "EINTR"])
def test_F26_an_error_at_each_system_call(s, error):
    offline = Offline(s)
    passing = ("write", "pread64") if error == "EINTR" else WRITING
    faults = [f"{call}:error={error}:when={n}" for call, count in offline.calls.items() if call in passing for n in range(1, count + 1)]
    results = offline.all(faults)
    problems = offline.problems(results, killed=False)
    if error == "EINTR":
        problems += [f"{fault}: interrupted, and that is no reason to fail ({code})" for fault, code, *_ in results if code != 0]
    assert len(faults) >= 2 and not problems, "\n".join(problems)


MANY = "".join(OFFLINE.replace("out/one", f"out/a{n}").replace("out/two", f"out/b{n}") for n in range(10))


@pytest.mark.parametrize("fsync, code", [("", 0), ("fsync:error=EIO:when=5", EX_IO)])
def test_F26_many_files_and_a_syncfs_that_fails(s, fsync, code):
    """Then each is synced by itself, and whose sync fails is not put in place."""
    value = s.canary("made-up")
    s.write("v.json", json.dumps({"kv/data/app": {"data": {"value": value}}}))
    s.allow("v.json")
    s.write("many.toml", MANY)
    args = ("render", "-c", "many.toml", "--once", "--values", "v.json")
    ended, said = system.run_injected(s, "syncfs:error=EIO", *args, also=[fsync] if fsync else [])
    files = os.listdir(s.path("out"))
    assert ended == code and len(files) == (19 if fsync else 20) and all(s.read(f"out/{name}") == value for name in files), said


def test_F29_killed_at_each_system_call(s):
    """kill -9: each file is old or new, and the next run leaves nothing of ours behind."""
    offline = Offline(s)
    faults = [f"{call}:signal=KILL:when={n}" for call, count in offline.calls.items() for n in range(1, count + 1)]
    results = offline.all(faults)
    problems = offline.problems(results, killed=True)
    assert all(code == -signal.SIGKILL for _, code, *_ in results), [r[:2] for r in results]
    assert not problems, "\n".join(problems)

    left = {name: content for *_, files in results for name, (content, _) in files.items() if ".keybearer-" in name}
    assert len(left) >= 10
    value = kv_base(s)
    for name, content in left.items():
        s.write(f"out/swept/{name}", content)
    agent = s.render(RENDER.replace("out/one", "out/swept/one"), "--once")
    assert agent.wait_exit(5) == 0 and os.listdir(s.path("out/swept")) == ["one"] and s.read("out/swept/one") == value


def test_F29_killed_while_it_starts_the_program(s):
    """The new process has not yet asked for its parent-death signal: it finds out and does not start the program."""
    kv_base(s)
    text = toml(KV, interval="1s", app=s.app_toml())
    agent = system.start_injected(s, ["setpgid:delay_enter=1000000"], "run", "-c", s.config(text), threads=True)

    def children():
        with open(f"/proc/{agent.pid}/task/{agent.pid}/children", encoding="ascii") as file:
            return file.read().split()
    child = wait_for(children, 5, "the new process")[0]
    observe(0.3, lambda: None, 0.3)  # now it is held up, for a second
    agent.kill()
    wait_for(lambda: not system.running(child), 5, "the end of the new process")
    assert not s.runlog.starts()


def test_F29_pid_file_of_a_killed_one(s):
    """A stale one is replaced, a live one is refused."""
    kv_base(s)
    first = kv_run(s, top='pid_file = "pid"')
    s.runlog.wait_starts(1, 5)
    second = kv_run(s, top='pid_file = "pid"')
    assert second.wait_exit(3) == EX_CONFIG and str(first.pid) in second.stderr
    first.kill()
    assert s.read("pid") == f"{first.pid}\n"
    third = kv_run(s, top='pid_file = "pid"')
    s.runlog.wait_starts(2, 5)
    assert s.read("pid") == f"{third.pid}\n"
    third.stop()
    assert s.read("pid") is None


# --- 27: what can't be written is said before anything is asked

def as_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


def open_to_all(s):
    """Whoever keybearer runs as may read the configuration and write below out/."""
    above = s.work
    while above not in ("/", "/tmp"):
        os.chmod(above, os.stat(above).st_mode | 0o011)
        above = os.path.dirname(above)
    for name in ("out", "boot", "boot/role-id", "boot/secret-id"):
        if os.path.exists(s.path(name)):
            os.chown(s.path(name), 65534, 65534)


TARGETS = ["read-only", "missing-directory", "unknown-user", "owner-without-right", "directory-without-right", "device", "socket",
           "link-in-a-circle"]


@pytest.mark.parametrize("command", ["check", "start"])
@pytest.mark.parametrize("target", TARGETS)
def test_F27_target_that_can_not_be_written(s, mounts, target, command):
    kv_base(s)
    dest, more, preexec, program = "out/file", "", None, None
    if target == "read-only":
        mounts.readonly(mounts.tmpfs(DISK))
        dest = f"{DISK}/file"
    elif target == "missing-directory":
        dest, more = "out/none/file", "create_dest_dirs = false"
    elif target == "unknown-user":
        more = 'user = "nobody-has-this-name"'
    elif target in ("owner-without-right", "directory-without-right"):
        open_to_all(s)
        preexec, program = as_nobody, shutil.copy(PROGRAM, s.path("keybearer"))
        if target == "owner-without-right":
            more = 'user = "root"'
        else:
            os.mkdir(s.path("out/theirs"), 0o755)
            os.chmod(s.path("out/theirs"), 0o755)
            dest = "out/theirs/file"
    elif target == "device":
        os.mknod(s.path(dest), stat.S_IFCHR | 0o600, os.makedev(1, 3))
    elif target == "socket":
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(s.path(dest))
    else:
        os.symlink("other", s.path("out/file"))
        os.symlink("file", s.path("out/other"))
    text = RENDER.replace('"out/one"', f'"{dest}"\n{more}')
    name = s.config(text)
    args = ("check", "-c", name) if command == "check" else ("render", "-c", name, "--once")
    agent = s.start(*args, preexec=preexec, program=program)
    code = agent.wait_exit(6)
    said = agent.stderr + agent.stdout
    if target == "unknown-user":
        assert code == EX_CONFIG and "agent.toml:" in said and "nobody-has-this-name" in said, (code, said)
    else:
        assert code == EX_IO and dest in said, (code, said)
    if command == "check":
        assert s.tap.count() == 0
    if target in ("device", "socket"):
        assert not stat.S_ISREG(os.stat(s.path(dest)).st_mode), "it is still what it was"


def test_F27_one_file_of_two_can_not_be_written_any_more(s, mounts):
    value = kv_base(s)
    disk = mounts.tmpfs(DISK)
    agent = kv_run(s, top=NOTIFY, more=f'''
[[template]]
destination = "{DISK}/second"
contents = '{{{{ with secret "kv/data/app" }}}}{{{{ .Data.data.value }}}}{{{{ end }}}}'
''')
    s.runlog.wait_starts(1, 5)
    mounts.readonly(disk)
    new = s.canary("kv-second")
    s.vault.put(KV_DATA, {"value": new})
    wait_for(lambda: s.read("out/config.ini") == f"value = {new}", 4, "the other file")
    agent.wait_line(f"{DISK}/second", "read-only", timeout=2)
    wait_for(lambda: s.read("alarms"), 2, "the alarm")
    assert s.read(f"{DISK}/second") == value and agent.alive


# --- 28: each kind of target

def once(s, dest="out/file", more=""):
    agent = s.render(RENDER.replace('"out/one"', f'"{dest}"\n{more}'), "--once")
    return agent.wait_exit(6), agent


@pytest.mark.parametrize("in_place", [False, True])
def test_F28_a_file_that_is_mounted_by_itself(s, mounts, in_place):
    value = kv_base(s)
    s.write("out/real", "old")
    s.write("out/file", "")
    mounts.bind("out/real", "out/file")
    code, agent = once(s, more="in_place = true" if in_place else "")
    if in_place:
        assert code == 0 and s.read("out/real") == value, agent.stderr
    else:
        assert code == EX_IO and "in_place = true" in agent.stderr and s.read("out/real") == "old", agent.stderr
    assert not temporaries(s, "out")


def test_F28_a_link_to_nothing_makes_its_target(s):
    value = kv_base(s)
    os.symlink("real", s.path("out/file"))
    code, agent = once(s)
    assert code == 0 and os.path.islink(s.path("out/file")) and s.read("out/real") == value, agent.stderr


def test_F28_other_names_of_a_file_keep_the_old(s):
    """A hard link may belong to somebody else: it does not get the secret."""
    kv_base(s)
    s.write("out/file", "old", 0o600)
    os.link(s.path("out/file"), s.path("out/other"))
    code, agent = once(s)
    assert code == 0 and s.read("out/other") == "old" and os.stat(s.path("out/file")).st_nlink == 1, agent.stderr


@pytest.mark.parametrize("kind", ["fifo", "link", "directory"])
def test_F28_a_target_that_becomes_something_else(s, kind):
    """While it runs: refused or replaced, never followed into somebody else's directory, and no hanging."""
    kv_base(s)
    os.mkdir(s.path("out/open"))
    os.chmod(s.path("out/open"), 0o777)
    s.write("out/open/theirs", "theirs")
    s.vault.put("kv/data/other", {"value": s.canary("other")})
    agent = s.run(toml(KV, interval="1s", app=s.app_toml(), exec='debounce = "100ms"', more='''
[[template]]
destination = "out/other"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}'
'''))
    s.runlog.wait_starts(1, 5)
    os.unlink(s.path("out/config.ini"))
    if kind == "fifo":
        os.mkfifo(s.path("out/config.ini"))
    elif kind == "link":
        os.symlink("open/theirs", s.path("out/config.ini"))
    else:
        os.mkdir(s.path("out/config.ini"))
    new = s.canary("kv-second")
    s.vault.put(KV_DATA, {"value": new})
    wait_for(lambda: s.read("out/other") == new, 4, "the other file")
    agent.wait_line("out/config.ini", timeout=2)
    assert agent.alive and s.read("out/open/theirs") == "theirs"
