#!/usr/bin/env bash
# Says how the SLURM job $1 is: running, success or failed. One that SLURM does not tell of just now is taken as running;
# one that squeue has forgotten is looked up in the accounting, and has failed if it is not there either.
set -uo pipefail
if ! state=$(squeue --noheader --states=all --jobs="$1" --format=%T 2>&1); then
    [[ $state == *"Invalid job id"* ]] || state=UNKNOWN
fi
[[ $state != *"Invalid job id"* && $state ]] || state=$(sacct --noheader --parsable2 --allocations --jobs="$1" --format=State)
case $state in
UNKNOWN | PENDING | CONFIGURING | RUNNING | COMPLETING | SUSPENDED | REQUEUED | STAGE_OUT | STOPPED | RESIZING | SIGNALING)
    echo running
    ;;
COMPLETED) echo success ;;
*) echo failed ;;
esac
