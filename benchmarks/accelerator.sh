#!/usr/bin/env bash
# Uses an accelerator that is lent for minutes: trains, runs the tests marked gpu, times all modes.
#
#     DATA=/path/to/data OUT=/path/to/results benchmarks/accelerator.sh [SHARE [ITERATIONS]]
#
# SHARE (default 1) scales the training times; 0.02 is a rehearsal. ITERATIONS (default 200) is the
# length of an epoch. The trainings run side by side, since none of them fills the device alone.
# CACHE (default: a temporary folder) keeps masks that were made before. OUT gets the weights, and
# logs.tar.gz with the logs, the students' weights and the tables.
set -uo pipefail
cd "$(dirname "$0")/.."
: "${DATA:?the folder of the training data}" "${OUT:?the folder for the results}"
share=${1:-1}
iterations=${2:-200}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
work=$(mktemp -d)
options=(data_root="$DATA" cache_dir="${CACHE:-$work/masks}")
mkdir -p "$OUT" "$work/logs"

seconds() { awk -v s="$1" -v f="$share" 'BEGIN { print s * f }'; }
bundle() { tar -czf "$OUT/logs.tar.gz" -C "$work" logs; }

train() { # NAME CONFIG, then arguments of timed_training.py
	local name=$1 config=$2
	shift 2
	python3 tools/analysis_tools/timed_training.py "$config" "$work/$name" --workers 3 \
		--epoch-iterations "$iterations" "$@" >"$work/logs/$name.log" 2>&1
	mv "$work/$name/weights.safetensors" "$OUT/$name.safetensors"
}

fusion() { # NAME CONFIG: a compact model, then its student
	local name=$1
	train "$name" "$2" --batch-size 32 --seconds \
		preliminary="$(seconds 30)" diffusion="$(seconds 50)" fusion="$(seconds 290)" \
		--cfg-options "${options[@]}"
	train "$name-student" configs/sgdfuse-student_ivif.py --batch-size 32 \
		--seconds "$(seconds 55)" --cfg-options "${options[@]}" \
		model.teacher="$OUT/$name.safetensors"
}

restorer() { # NAME, then more --cfg-options
	local name=$1
	shift
	train "$name" configs/sgdfuse-restorer_ivif.py --batch-size 24 \
		--seconds "$(seconds 440)" --cfg-options "${options[@]}" "$@"
}

trainings=()
fusion compact configs/sgdfuse-compact_ivif.py &
trainings+=($!)
restorer restorer &
trainings+=($!)
restorer restorer-plain model.diffusion=False &
trainings+=($!)
timeout 240 python3 -m pytest -q -m gpu -p no:cacheprovider \
	--continue-on-collection-errors tests >"$work/logs/gpu-tests.log" 2>&1
wait "${trainings[@]}"
nvidia-smi --query-gpu=name,driver_version --format=csv,noheader >"$work/logs/device.txt" 2>&1
bundle
timeout 70 python3 tools/analysis_tools/benchmark.py --device cuda --repeats 20 \
	--weights mmsgdfuse/assets/sgdfuse-compact.safetensors --out "$work/logs/benchmark" \
	>"$work/logs/benchmark.log" 2>&1
bundle
tail -n 3 "$work"/logs/*.log
