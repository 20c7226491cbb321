#!/usr/bin/env bash
# All results of record of a GPU, and what must be seen there before they count, on all GPUs of the machine at once.
#
#   scripts/gpu_kit.sh pack KIT                                  where gptqc was built
#   bench/record.sh KIT OUT [--seconds N] [--fast] [STAGE...]    on the machine with the GPU, in a checkout
#
#   STAGE...      only these (`bench/record.sh --list`); default: all
#   --seconds N   starts no stage after N seconds: for machines that are lent by the minute
#   --fast        20 ms instead of 50 ms of timed work a point: to look, not to keep
#
# Each GPU takes the next stage. OUT/STAGE.log is what it printed, OUT/results what belongs into bench/results, and
# OUT/summary.txt a line a stage. A stage that passed is not run again with the same OUT.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

# name|command; the longest first, so that the GPUs end together. $time: options of every measurement.
stages() {
  local verify="gptqc verify --device cuda --descriptors inputs/verify_h200.txt"
  cat <<END
verify-1|$verify --m 1,8,16,33,63,65
verify-2|$verify --m 7,24,127,129,257,1000
counters-1|counters inputs/targets.txt --m 1,8,16,32,64 -o results/part-1.txt
counters-2|counters inputs/targets.txt --m 128,256,512,1024 -o results/part-2.txt
counters-3|counters inputs/targets.txt --m 2048,4096,8192 -o results/part-3.txt
variants|variants
targets|gptqc bench --descriptors inputs/targets.txt -o results $time
prefill|gptqc bench --descriptors inputs/prefill.txt -o results $time
tuned|gptqc bench --descriptors inputs/targets.txt --tuned records.txt -o results --name $gpu-tuned $time
decode|gptqc bench --descriptors inputs/decode.txt -o results $time
bits|gptqc bench --descriptors inputs/bits.txt -o results $time
counters-4|counters inputs/bits.txt --no-dense -o results/$gpu-profile-bits.txt
memcheck|compute-sanitizer --tool memcheck --error-exitcode 9 gptqc verify --device cuda --descriptors inputs/sanitizer.txt --m 1,17,40,70
moe|gptqc verify --device cuda --descriptors inputs/verify_moe.txt
repeats|gptqc verify --device cuda --descriptors inputs/sanitizer.txt --runs 1000 --m 1,16,100
chains|chains
END
}

# What one line cannot say.
chains() {
  local block
  for block in llama3_8b llama3_70b; do
    # shellcheck disable=SC2086
    gptqc bench --chain "inputs/chain_$block.txt" -o results --name "$gpu-chain-${block#llama3_}" $time || return 1
  done
}
variants() {
  local folder passed=0 count=0
  for folder in $(gptqc-variants models "$scratch/variants"); do
    count=$((count + 1))
    gptqc verify --device cuda --m 1,7,33 "$folder" && passed=$((passed + 1))
  done
  rm -rf "$scratch/variants"
  echo "$passed of $count variants"
  [ "$passed" -eq "$count" ] && [ "$count" -gt 0 ]
}
counters() { python3 "$root/bench/profile.py" "$kit/gptqc" --descriptors "$@"; }

# runs STAGE COMMAND on the GPU of CUDA_VISIBLE_DEVICES, in a folder with the names that the stages use.
run_stage() {
  local name=$1 command=$2 start=$SECONDS rc=0
  (cd "$scratch/view" && eval "$command") >"$out/$name.log" 2>&1 || rc=$?
  [ $rc -ne 0 ] || touch "$out/$name.passed"
  printf '%-10s %4d s  rc %d  %s\n' "$name" $((SECONDS - start)) $rc "$(tail -n 1 "$out/$name.log" | cut -c1-120)" |
    tee -a "$out/summary.txt"
}

# worker GPU: takes stages until none is left or the time is up.
worker() {
  export CUDA_VISIBLE_DEVICES=$1
  local name command
  while IFS='|' read -r name command; do
    [ ${#chosen[@]} -eq 0 ] || [[ " ${chosen[*]} " = *" $name "* ]] || continue
    [ ! -e "$out/$name.passed" ] || continue
    [ $SECONDS -lt "$seconds" ] || { echo "$name: no time left" && continue; }
    mkdir "$scratch/$name.taken" 2>/dev/null || continue
    run_stage "$name" "$command"
  done < <(stages)
}

# The counters of the targets as one table.
join_counters() {
  local files=("$out"/results/part-*.txt)
  [ -e "${files[0]}" ] || return 0
  { grep '^#' "${files[0]}" && grep -hv '^#' "${files[@]}"; } >"$out/results/$gpu-profile.txt"
}

seconds=1000000 time="" chosen=() places=() gpu=gpu
while [ $# -gt 0 ]; do
  case $1 in
  --list)
    stages | cut -d'|' -f1
    exit 0
    ;;
  --seconds)
    seconds=${2:?}
    shift
    ;;
  --fast) time="--time-ms 20" ;;
  -*)
    sed -n '2,13s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
  *) [ ${#places[@]} -lt 2 ] && places+=("$1") || chosen+=("$1") ;;
  esac
  shift
done
if [ ${#places[@]} -ne 2 ]; then
  sed -n '2,13s/^# \{0,1\}//p' "$0"
  exit 2
fi
mapfile -t gpus < <(nvidia-smi --query-gpu=index,name --format=csv,noheader)
if [ ${#gpus[@]} -eq 0 ]; then
  echo "record: error: no GPU on this machine" >&2
  exit 1
fi
kit=$(realpath "${places[0]}")
mkdir -p "${places[1]}/results"
out=$(realpath "${places[1]}")
gpu=$(sed 's/.*NVIDIA //; s/[ -].*//' <<<"${gpus[0]}" | tr '[:upper:]' '[:lower:]')

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/view"
ln -s "$root/bench/inputs" "$out/results" "$root/tests/data/models" "$scratch/view"
ln -s "$root/autotune/records/$gpu.txt" "$scratch/view/records.txt"
export PATH="$kit:$PATH" LD_LIBRARY_PATH="$kit${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" GPTQC_CACHE_DIR="$scratch/cache"

for device in "${gpus[@]}"; do
  worker "${device%%,*}" &
done
wait
join_counters
failed=$(stages | cut -d'|' -f1 | while read -r name; do
  [ ${#chosen[@]} -eq 0 ] || [[ " ${chosen[*]} " = *" $name "* ]] || continue
  [ -e "$out/$name.passed" ] || echo -n " $name"
done)
if [ -n "$failed" ]; then
  echo "record: not passed:$failed"
  exit 1
fi
echo "record: all stages passed; $out/results belongs into bench/results"
