#!/usr/bin/env bash
# Start a SLURM of one node on this machine, as root and without systemd, for tests: start_slurm.sh FOLDER.
# Debian's packages: slurmctld slurmd slurm-client munge. Configuration and logs go to the folder.
set -euo pipefail
folder=$(realpath "$1")
mkdir -p "$folder/state" "$folder/spool" /run/munge

if ! munge -n >/dev/null 2>&1; then
    [ -s /etc/munge/munge.key ] || mungekey --force
    chown munge:munge /etc/munge/munge.key /run/munge
    chmod 400 /etc/munge/munge.key
    runuser -u munge -- /usr/sbin/munged
fi

host=$(hostname -s)
# Ports that nobody has: another SLURM may run on this machine.
read -r control node < <(python3 - <<'PORTS'
import socket
with socket.socket() as a, socket.socket() as b:
    a.bind(("", 0)), b.bind(("", 0))
    print(a.getsockname()[1], b.getsockname()[1])
PORTS
)
cat >"$folder/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmctldPort=$control
SlurmdPort=$node
AuthType=auth/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/completed.txt
JobAcctGatherType=jobacct_gather/none
KillWait=5
ReturnToService=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0,requeue_delay=1
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) State=UNKNOWN
PartitionName=test Nodes=$host Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF

export SLURM_CONF="$folder/slurm.conf"
slurmctld
slurmd
for _ in $(seq 100); do
    sinfo -h -o %t 2>/dev/null | grep -q idle && exit 0
    sleep 0.2
done
echo "SLURM did not come up:" >&2
tail -n 20 "$folder/slurmctld.log" "$folder/slurmd.log" >&2
exit 1
