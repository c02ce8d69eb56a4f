#!/usr/bin/env bash
# A Slurm of its own in a folder, without systemd: one controller, two nodes of this machine with a fake GPU each, for
# tests and for trying things out. Several can live side by side. Needs root (slurmd gives jobs their users).
#
#   scripts/slurm.sh packages         install slurm-wlm and munge (Debian, Ubuntu), once
#   scripts/slurm.sh start FOLDER     start one; 'export SLURM_CONF=FOLDER/slurm.conf' makes sbatch and squeue talk to it
#   scripts/slurm.sh start FOLDER PID    and end it, folder and all, once process PID has ended
#   scripts/slurm.sh controller FOLDER   start its slurmctld again, after it was killed
#   scripts/slurm.sh stop FOLDER      end it and all of its jobs
set -euo pipefail
say() { printf 'slurm: %s\n' "$*" >&2; }
die() { printf 'error: slurm: %s\n' "$1" >&2; [ -z "${2:-}" ] || printf 'hint: %s\n' "$2" >&2; exit 1; }
is_there() { command -v slurmctld slurmd munged sbatch >/dev/null; }
export PATH=$PATH:/usr/sbin:/sbin

packages() {
  is_there && return
  command -v apt-get >/dev/null || die "there is no apt-get" "install slurmctld, slurmd and munge as your system does"
  [ "$(id -u)" = 0 ] || die "packages are installed by root" "sudo make slurm-packages"
  # Its services stay off: what is started here has folders and ports of its own.
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y --no-install-recommends slurm-wlm munge >&2 ||
    { apt-get update >&2 && apt-get install -y --no-install-recommends slurm-wlm munge >&2; }
}

free_port() {
  local port
  for _ in $(seq 200); do
    port=$((20000 + RANDOM % 10000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
  die "no port is free"
}

configure() {
  local host ports
  host=$(hostname) && ports=("$(free_port)" "$(free_port)" "$(free_port)")
  mkdir -p "$folder"/{state,spool-a,spool-b,log}
  cat >"$folder/slurm.conf" <<CONF
ClusterName=crossover
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A job that is requeued waits until its old credential has expired: two minutes by default.
AuthInfo=socket=$folder/munge.socket,cred_expire=5
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/log/slurmctld
SlurmdLogFile=$folder/log/slurmd-%n
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
# Nodes claim more cores than there are: pilots of tests wait for each other otherwise.
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,sched_interval=1,bf_interval=1
MaxArraySize=${CROSSOVER_SLURM_ARRAY:-1001}
MinJobAge=${CROSSOVER_SLURM_AGE:-300}
KillWait=${CROSSOVER_SLURM_KILL:-5}
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=60
GresTypes=gpu
NodeName=a NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[1]} CPUs=8 Gres=gpu:1
NodeName=b NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[2]} CPUs=8 Gres=gpu:1
PartitionName=main Nodes=a,b Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=a,b MaxTime=1 State=UP
CONF
  cat >"$folder/gres.conf" <<CONF
NodeName=a Name=gpu File=/dev/zero
NodeName=b Name=gpu File=/dev/full
CONF
  (umask 077 && dd if=/dev/urandom of="$folder/munge.key" bs=1024 count=1 status=none)
}

munge() {
  munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --log-file="$folder/log/munged" --seed-file="$folder/munge.seed" --num-threads=2 2>>"$folder/log/munged.err" ||
    die "munged does not start: $(tail -n 3 "$folder/log/munged.err")"
}

controller() { slurmctld -f "$folder/slurm.conf" || die "slurmctld does not start: $(tail -n 3 "$folder/log/slurmctld")"; }

start() {
  is_there || die "slurmctld, slurmd or munged is not there" "make slurm-packages"
  [ "$(id -u)" = 0 ] || die "slurmd needs root"
  [ ! -e "$folder/slurm.conf" ] || die "$folder has a Slurm already" "scripts/slurm.sh stop $folder"
  configure
  munge
  controller
  for node in a b; do slurmd -f "$folder/slurm.conf" -N $node || die "slurmd does not start: $(tail -n 3 "$folder/log/slurmd-$node")"; done
  export SLURM_CONF=$folder/slurm.conf
  for _ in $(seq 200); do
    [ "$(sinfo -h -N -o %t -p main 2>/dev/null | sort | uniq -c | awk '{print $1 $2}')" = 2idle ] && { follow; return; }
    sleep 0.1
  done
  die "the nodes do not become idle: $(sinfo -h -N 2>&1)"
}

follow() {
  echo "export SLURM_CONF=$SLURM_CONF"
  [ -n "$owner" ] || return 0
  (
    trap '' HUP INT
    while kill -0 "$owner" 2>/dev/null; do sleep 0.5; done
    stop
    rm -rf "$folder"
  ) </dev/null >/dev/null 2>&1 &
}

# By the ids that it wrote down, and never by name: others may run theirs.
stop() {
  export SLURM_CONF=$folder/slurm.conf
  timeout 10 scancel --state=RUNNING --quiet --user="$(id -un)" 2>/dev/null || true
  local pid
  for name in slurmd-a slurmd-b slurmctld munged; do
    pid=$(cat "$folder/$name.pid" 2>/dev/null) || continue
    kill "$pid" 2>/dev/null || continue
    for _ in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null || true
  done
  rm -rf "$folder/slurm.conf"
}

command=${1:-}
folder=$(realpath -m "${2:-.}")
owner=${3:-}
case $command in
  packages) packages ;;
  start | controller | stop) [ $# -ge 2 ] || die "$command takes a folder"; $command ;;
  *) die "there is no '$command'" "packages, or start, controller, stop with a folder" ;;
esac
