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
# OUT/summary.txt a line a stage, and for the longest measurements clocks and power, of which OUT/STAGE.clocks has all
# samples. A stage that passed is not run again with the same OUT.
set -uo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

# name|command; the longest first, so that the GPUs end together. $time: options of every measurement.
#
# Hazards do not fail racecheck-2, they are in its log: the tool does not fully model mbarriers, which order gemv and wgmma,
# nor the asynchronous copies that arrive on them. There the race check of the simulator decides. mma and simt have none of
# them, so racecheck demands no hazard.
stages() {
  local verify="gptqc verify --device cuda --descriptors"
  # One token count of each bucket, few in the large ones: these tools slow the reference down too.
  local sanitized="$verify inputs/sanitizer_targets.txt --m 1,2,3,7,15,31,33,65,129,257"
  cat <<END
verify-1|$verify inputs/verify_h200.txt --m 1,8,16,33,63,65
verify-2|$verify inputs/verify_h200.txt --m 7,24,127,129,257,1000
counters-5|counters inputs/prefill.txt --no-dense -o results/$gpu-profile-prefill.txt
counters-1|counters inputs/targets.txt --m 1,2,4,8,16,32,64 -o results/part-1.txt
counters-2|counters inputs/targets.txt --m 128,256,512,1024 -o results/part-2.txt
counters-3|counters inputs/targets.txt --m 2048,4096,8192 -o results/part-3.txt
variants|variants
targets|gptqc bench --descriptors inputs/targets.txt -o results $time
memcheck-2|compute-sanitizer --tool memcheck --error-exitcode 9 $sanitized
racecheck-2|compute-sanitizer --tool racecheck $sanitized
prefill|gptqc bench --descriptors inputs/prefill.txt -o results $time
tuned|gptqc bench --descriptors inputs/targets.txt --tuned records.txt -o results --name $gpu-tuned $time
counters-6|counters inputs/decode.txt --no-dense -o results/$gpu-profile-decode.txt
decode|gptqc bench --descriptors inputs/decode.txt -o results $time
bits|gptqc bench --descriptors inputs/bits.txt -o results $time
counters-4|counters inputs/bits.txt --no-dense -o results/$gpu-profile-bits.txt
repeats-2|$verify small_targets.txt --runs 1000 --m 1,2,4,8,16,32,64,128,256
odd|gptqc bench --descriptors inputs/odd.txt -o results $time
seeds|$verify small_targets.txt --seed \$(date +%s) --m 1,3,8,16,33,64,129,256
memcheck|compute-sanitizer --tool memcheck --error-exitcode 9 $verify inputs/sanitizer.txt --m 1,17,40,70
racecheck|racecheck
moe|$verify inputs/verify_moe.txt
sass|python3 "\$root/bench/sass.py" "\$kit/gptqc" --descriptors inputs/targets.txt --from 64
repeats|$verify inputs/sanitizer.txt --runs 1000 --m 1,16,100
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
racecheck() {
  local family rc=0
  for family in mma simt; do
    compute-sanitizer --tool racecheck --error-exitcode 9 gptqc verify --device cuda \
      --descriptors inputs/sanitizer.txt --family $family --m 1,17 || rc=$?
  done
  return $rc
}
counters() { python3 "$root/bench/profile.py" "$kit/gptqc" --descriptors "$@"; }

# The median and the 10th percentile of a column, 2 or 3, of samples in which the GPU was in use.
spread() {
  awk -F', ' -v column="$2" '$5 + 0 > 0 { print $column + 0 }' "$1" | sort -n |
    awk '{ v[NR] = $1 } END { if (NR) printf "%g (p10 %g)", v[int((NR + 1) / 2)], v[int((NR + 9) / 10)]; else printf "-" }'
}

# run_stage STAGE COMMAND: on the GPU of CUDA_VISIBLE_DEVICES, in a folder with the names that the stages use.
run_stage() {
  local name=$1 command=$2 start=$SECONDS rc=0 sampler=""
  if [[ " targets tuned prefill " = *" $name "* ]]; then
    # An hour at most, because nothing else ends it when this script is killed.
    timeout 1h nvidia-smi -i "$CUDA_VISIBLE_DEVICES" --format=csv,noheader -lms 500 \
      --query-gpu=index,clocks.sm,power.draw,temperature.gpu,utilization.gpu >"$out/$name.clocks" 2>/dev/null &
    sampler=$!
  fi
  (cd "$scratch/view" && eval "$command") >"$out/$name.log" 2>&1 </dev/null || rc=$?
  [ $rc -ne 0 ] || touch "$out/$name.passed"
  printf '%-11s %4d s  rc %d  %s\n' "$name" $((SECONDS - start)) $rc "$(tail -n 1 "$out/$name.log" | cut -c1-120)" |
    tee -a "$out/summary.txt"
  if [ -n "$sampler" ]; then
    { kill "$sampler" && wait "$sampler"; } 2>/dev/null
    printf '%-11s clock %s MHz, power %s W\n' "$name" "$(spread "$out/$name.clocks" 2)" "$(spread "$out/$name.clocks" 3)" |
      tee -a "$out/summary.txt"
  fi
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
    sed -n '2,14s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
  *) [ ${#places[@]} -lt 2 ] && places+=("$1") || chosen+=("$1") ;;
  esac
  shift
done
if [ ${#places[@]} -ne 2 ]; then
  sed -n '2,14s/^# \{0,1\}//p' "$0"
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
# Up to 256 tokens: verify takes the ends of ranges that hold none of --m.
grep -E '\.\.([0-9]{1,2}|128|256)$' "$root/bench/inputs/targets.txt" >"$scratch/view/small_targets.txt"
export PATH="$kit:$PATH" LD_LIBRARY_PATH="$kit${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" GPTQC_CACHE_DIR="$scratch/cache"
export CUDA_DEVICE_ORDER=PCI_BUS_ID # nvidia-smi's

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
