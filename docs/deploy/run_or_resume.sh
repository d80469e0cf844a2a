#!/usr/bin/env bash
# Start a run, or resume it: for a job that Slurm or Kubernetes starts again and again.
#
#   run_or_resume.sh FOLDER CONFIG|PROBLEM [--set KEY=VALUE ...]
#
# FOLDER is the run's own, on a disk that the next start sees too. It becomes evo, so signals and exit codes are evo's.
set -euo pipefail

usage='run_or_resume.sh FOLDER CONFIG|PROBLEM [--set KEY=VALUE ...]'
folder=${1:?$usage} target=${2:?$usage}
shift 2
for ((word = 1; word <= $#; word += 2)); do
    if [ "${!word}" != --set ]; then
        echo "run_or_resume.sh: expected --set KEY=VALUE, as in --set model.name=NAME, got ${!word}" >&2
        exit 2
    fi
done

# Without a whole first line nothing was recorded, and evo itself takes the folder for new.
if ! read -r _ 2> /dev/null < "$folder/journal.jsonl"; then
    exec evo run "$target" "$@" --name "$(basename "$folder")" --run-dir "$(dirname "$folder")"
fi

# Who died on another host, without letting go, is taken for alive until it has been silent for a minute.
for _ in $(seq 65); do
    grep -qs " on $(uname -n) since " "$folder/lock" && break
    [ -n "$(find "$folder/lock" -size +0 -newermt '60 seconds ago' 2> /dev/null)" ] || break
    sleep 1
done
exec evo resume "$folder" "$@"
