"""A real SLURM on this machine, for tests: controller, accounting, and several virtual nodes on the loopback interface.

    python tests/cluster/slurm.py install | start | stop | purge | status     ("purge" leaves the packages installed)

It is installed from Debian's packages and run as root, without systemd. Everything it writes lies in one folder
(SNAKEFOLD_SLURM, or /var/tmp/snakefold-slurm), to which /etc/slurm links (Snakemake's executor hides SLURM_CONF from its
jobs); where another SLURM is configured, it refuses. Memory limits are enforced by control groups where these can be
written (version 1), else by polling, which kills with signal 9 instead of OUT_OF_MEMORY.
"""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

BASE = Path(os.environ.get("SNAKEFOLD_SLURM", "/var/tmp/snakefold-slurm"))
CONF = BASE / "etc/slurm.conf"
LINKS = Path("/etc/slurm")
NODES, CPUS, MEM_MB = ("n1", "n2", "n3", "n4"), 4, 6000  # n4 is a partition of its own, to be lost
CTLD_PORT, DBD_PORT, NODE_PORT = 26817, 26819, 26820
COMMANDS = ("slurmctld", "slurmd", "slurmdbd", "sbatch", "munged", "mungekey", "mariadbd", "mariadb-install-db")
PACKAGES = (
    *("slurmctld", "slurmd", "slurmdbd", "slurm-client", "munge", "mariadb-server-core", "mariadb-client-core"),
    *("libpmix-dev", "libpmi2-0"),  # srun --mpi=pmix loads libpmix.so, which only the -dev package has
)
MEMORY_GROUPS = Path("/sys/fs/cgroup/memory")

SLURM = """\
ClusterName=snakefold
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={base}/run/munge.socket
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool/%n
SlurmctldPidFile={base}/run/slurmctld.pid
SlurmdPidFile={base}/run/slurmd-%n.pid
SlurmctldLogFile={base}/log/slurmctld.log
SlurmdLogFile={base}/log/slurmd-%n.log
{limits}
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
# more processors and memory than the machine has
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=20
KillWait=5
MinJobAge=120
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd_port}
AccountingStoragePass={base}/run/munge.socket
AccountingStoreFlags=job_comment
{nodes}
PartitionName=main Nodes=n1,n2,n3 Default=YES MaxTime=120 DefaultTime=30 State=UP
PartitionName=fragile Nodes=n4 MaxTime=120 DefaultTime=30 State=UP
"""
BY_GROUPS = """\
ProctrackType=proctrack/cgroup
TaskPlugin=task/cgroup"""
BY_POLLING = """\
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherParams=OverMemoryKill"""
CGROUP = """\
CgroupPlugin=cgroup/v1
CgroupMountpoint=/sys/fs/cgroup
ConstrainRAMSpace=yes
ConstrainSwapSpace=no
ConstrainCores=no
ConstrainDevices=no
"""
DBD = """\
AuthType=auth/munge
AuthInfo=socket={base}/run/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={dbd_port}
SlurmUser=root
LogFile={base}/log/slurmdbd.log
PidFile={base}/run/slurmdbd.pid
# without this it listens on every interface
CommunicationParameters=NoInAddrAny
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct
"""


class Broken(Exception):
    """SLURM cannot be installed or does not come up."""


def command(*words: str, check: bool = True) -> str:
    """Run a command of SLURM's and return what it prints."""
    done = subprocess.run(words, capture_output=True, text=True)
    if check and done.returncode:
        raise Broken(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other process starts or stops SLURM, and keep others from it."""
    with BASE.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def answers() -> bool:
    """Return whether the controller of this SLURM runs and answers."""
    return _pid("slurmctld") is not None and _answers("scontrol", "ping")()


def enforces_memory() -> bool:
    """Return whether memory limits are enforced by control groups; SNAKEFOLD_SLURM_POLLING=1 forbids that."""
    if os.environ.get("SNAKEFOLD_SLURM_POLLING") == "1":
        return False
    return os.access(MEMORY_GROUPS, os.W_OK) and os.access("/sys/fs/cgroup/freezer", os.W_OK)


def install() -> None:
    """Install Debian's packages, whose daemons are not started."""
    if os.geteuid():
        raise Broken("SLURM is installed and run as root; the cluster tests need it")
    if all(shutil.which(name) for name in COMMANDS) and any(Path("/usr/lib").glob("*/pmix2/lib/libpmix.so")):
        return
    if not shutil.which("apt-get"):
        raise Broken(f"no apt-get here; the cluster tests need Debian's packages {' '.join(PACKAGES)}")
    policy = Path("/usr/sbin/policy-rc.d")  # 101: packages may start nothing
    own = not policy.exists()
    if own:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        quiet = dict(os.environ) | {"DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
            done = subprocess.run(["apt-get", *words], env=quiet, capture_output=True, text=True)
            if done.returncode:
                raise Broken(f"apt-get {' '.join(words)}: {done.stderr.strip()[-2000:]}")
    finally:
        if own:
            policy.unlink()


def _configure() -> None:
    for folder in ("etc", "run", "log", "state", "db", "tmp", *(f"spool/{node}" for node in NODES)):
        (BASE / folder).mkdir(parents=True, exist_ok=True)
    LINKS.mkdir(exist_ok=True)
    for name in ("slurm.conf", "slurmdbd.conf", "cgroup.conf"):
        link = LINKS / name
        if link.is_symlink() and not link.exists():
            link.unlink()
        if not link.exists():
            link.symlink_to(CONF.parent / name)
        if link.resolve() != (CONF.parent / name).resolve():
            raise Broken(f"another SLURM is configured here: {link}")
    host = socket.gethostname().partition(".")[0]
    with contextlib.suppress(socket.gaierror):
        socket.gethostbyname(host)
        nodes = "\n".join(
            f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={NODE_PORT + i} CPUs={CPUS} Boards=1 "
            f"SocketsPerBoard=1 CoresPerSocket={CPUS} ThreadsPerCore=1 RealMemory={MEM_MB} State=UNKNOWN"
            for i, name in enumerate(NODES)
        )
        limits = BY_GROUPS if enforces_memory() else BY_POLLING
        names = {"base": BASE, "host": host, "ctld_port": CTLD_PORT, "dbd_port": DBD_PORT}
        _write(CONF, SLURM.format(**names, nodes=nodes, limits=limits))
        _write(CONF.parent / "cgroup.conf", CGROUP)
        _write(CONF.parent / "slurmdbd.conf", DBD.format(**names))
        return
    raise Broken(f"the machine's own name, {host}, has no address; add it to /etc/hosts")


def _write(path: Path, text: str) -> None:
    """Write a file at once, since commands of SLURM's that run meanwhile read it."""
    if not path.exists() or path.read_text() != text:
        new = path.with_suffix(".new")
        new.write_text(text)
        new.chmod(0o600 if path.name == "slurmdbd.conf" else 0o644)
        new.replace(path)


def _pid(name: str) -> int | None:
    """Return the process id of a daemon that lives."""
    with contextlib.suppress(OSError, ValueError):
        pid = int((BASE / "run" / f"{name}.pid").read_text())
        os.kill(pid, 0)
        if "zombie" not in Path(f"/proc/{pid}/status").read_text():
            return pid
    return None


def _wait(seconds: float, ready: Callable[[], object], what: str) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            logs = "".join(f"\n{log.name}: {log.read_text()[-600:]}" for log in sorted((BASE / "log").glob("*.log")))
            raise Broken(f"{what} does not come up{logs}")
        time.sleep(0.1)


def _answers(*words: str) -> Callable[[], bool]:
    return lambda: subprocess.run(words, capture_output=True).returncode == 0


def _daemon(*words: str, log: str = "", **variables: str) -> None:
    out = (BASE / "log" / log).open("ab") if log else subprocess.DEVNULL
    subprocess.Popen(
        words,
        env=dict(os.environ) | variables,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        start_new_session=True,
    )


def start() -> None:
    """Install, configure and start everything that does not run yet; return when all nodes are up."""
    install()
    _configure()
    run, db_socket = BASE / "run", str(BASE / "run/mysqld.sock")
    if _pid("munged") is None:
        key = BASE / "etc/munge.key"
        if not key.exists():
            command("mungekey", "--create", f"--keyfile={key}")
        _daemon(
            "munged", "--force", "--foreground", f"--key-file={key}", f"--socket={run}/munge.socket",
            f"--pid-file={run}/munged.pid", f"--seed-file={run}/munge.seed", f"--log-file={BASE}/log/munged.log",
            log="munged.out.log",
        )  # fmt: skip
        _wait(20, _answers("munge", "-n", f"--socket={run}/munge.socket"), "munged")
    if _pid("mysqld") is None:
        if not (BASE / "db/mysql").is_dir():
            own = ("--no-defaults", "--user=root", f"--datadir={BASE}/db")
            command("mariadb-install-db", *own, "--auth-root-authentication-method=normal", "--skip-test-db")
        _daemon(
            "mariadbd", "--no-defaults", "--user=root", f"--datadir={BASE}/db", "--skip-networking",
            f"--socket={db_socket}", f"--pid-file={run}/mysqld.pid", f"--tmpdir={BASE}/tmp",
            "--innodb-buffer-pool-size=64M", "--innodb-lock-wait-timeout=900", log="mysqld.log",
        )  # fmt: skip
        _wait(60, _answers("mariadb", "-S", db_socket, "-u", "root", "-e", "select 1"), "mariadbd")
    if _pid("slurmdbd") is None:
        _daemon("slurmdbd", "-D", log="slurmdbd.out.log", MYSQL_UNIX_PORT=db_socket)
        _wait(60, _answers("sacctmgr", "-n", "show", "cluster"), "slurmdbd")
    if "snakefold" not in command("sacctmgr", "-n", "show", "cluster", "format=cluster"):
        command("sacctmgr", "-i", "add", "cluster", "snakefold", check=False)
    if _pid("slurmctld") is None:
        _daemon("slurmctld", "-D", "-f", str(CONF), log="slurmctld.out.log")
        _wait(60, _answers("scontrol", "ping"), "slurmctld")
    for node in NODES:
        start_node(node)
    _wait(60, lambda: set(up()) == set(NODES), "a node")


def start_node(node: str) -> None:
    """Start the daemon of a node, if it does not run."""
    if _pid(f"slurmd-{node}") is None:
        _daemon("slurmd", "-D", "-N", node, "-f", str(CONF), log=f"slurmd-{node}.out.log")


def kill_node(node: str) -> None:
    """Kill the daemon of a node and all its jobs, as a node that is lost does."""
    pid = _pid(f"slurmd-{node}")
    groups = subprocess.run(["pgrep", "-f", f"slurmstepd: |slurmd -D -N {node}"], capture_output=True, text=True)
    steps = [int(p) for p in groups.stdout.split() if f"/slurmd-{node}.log" in _files_of(int(p))]
    for process in [pid, *steps, *(c for step in steps for c in _below(step))]:
        if process:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def _files_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return " ".join(os.readlink(f) for f in Path(f"/proc/{pid}/fd").iterdir())  # noqa: PTH115
    return ""


def _below(pid: int) -> list[int]:
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    return [p for c in map(int, children) for p in (c, *_below(c))]


def up() -> list[str]:
    """Return the nodes that take jobs."""
    words = ("sinfo", "-h", "-N", "-t", "idle,mix,alloc", "-o", "%N %T")
    return sorted({line.split()[0] for line in command(*words, check=False).splitlines() if "*" not in line})


def stop() -> None:
    """Cancel all jobs and end all daemons.

    Nothing points to their configuration any more: Snakemake's executor asks `scontrol` when it is imported, which
    waits for a controller that is configured and gone, 10 s in every start of Snakemake.
    """
    if _pid("slurmctld"):
        command("scancel", "-u", "root", check=False)
        time.sleep(0.5)
    for name in (*(f"slurmd-{node}" for node in NODES), "slurmctld", "slurmdbd", "mysqld", "munged"):
        if pid := _pid(name):
            os.kill(pid, signal.SIGTERM)
            with contextlib.suppress(Broken):
                _wait(15, lambda name=name: _pid(name) is None, name)
            if _pid(name):
                os.kill(pid, signal.SIGKILL)
    for link in LINKS.glob("*.conf"):
        if link.is_symlink() and link.resolve().is_relative_to(BASE.resolve()):
            link.unlink()


def purge() -> None:
    """Stop, and remove everything that was written."""
    stop()
    shutil.rmtree(BASE, ignore_errors=True)


def status() -> None:
    """Print which daemons live, and the nodes."""
    for name in ("munged", "mysqld", "slurmdbd", "slurmctld", *(f"slurmd-{node}" for node in NODES)):
        print(f"{name}: {_pid(name) or 'down'}")
    print(command("sinfo", "-N", "-o", "%N %c %m %T %E", check=False), end="")


if __name__ == "__main__":
    actions = {f.__name__: f for f in (install, start, stop, purge, status)}
    if len(sys.argv) != 2 or sys.argv[1] not in actions:
        sys.exit(__doc__)
    try:
        with alone():
            actions[sys.argv[1]]()
    except Broken as error:
        sys.exit(f"SLURM: {error}")
