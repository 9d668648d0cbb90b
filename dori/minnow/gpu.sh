#!/usr/bin/env bash
# All of minnow on one GPU, two seeds side by side; called again it goes on where it stopped.
# usage: gpu.sh WORK MINUTES [--set PART.KEY=VALUE ...]      DEVICE=cpu tries it out, HALF=1 takes bfloat16
# A small U-Net leaves a GPU waiting for Python, so every training is a process of its own.
set -euo pipefail
work=$1 end=$((SECONDS + 60 * $2)) && shift 2
changes=("$@")

train() { # FOLDER PART... : in the background, until the end
  local folder=$1 && shift
  python3 -m dori.minnow.train "$@" --work "$folder" --out "$folder/weights" --device "${DEVICE:-cuda}" ${HALF:+--half} \
    --seconds $((end - SECONDS)) --set "seed=${folder##*-}" "${changes[@]}" &
  running+=($!)
}
all_done() { # waits for them; fails if one failed
  for process in "${running[@]}"; do wait "$process"; done
  running=()
}

shared() { # PART... : the second pair has all but the U-Nets from the first
  mkdir -p "$b"
  for part in "$@"; do [ ! -e "$a/$part" ] || [ -e "$b/$part" ] || cp -r "$a/$part" "$b"; done
}

a=$work/seed-1 b=$work/seed-2 running=()
train "$a" clip code
all_done
shared clip-model tokenizer code.safetensors $(cd "$a" && ls -d ordinary-*)
train "$a" decoder
train "$a" encoder
train "$a" pretraining
train "$b" pretraining
all_done
for folder in "$a" "$b"; do
  [ -e "$folder/pretrained-unet" ] || exit 0 # out of time
  train "$folder" memorized
  train "$folder" twin
done
all_done
# What needs the real SSCD is for a CPU: python -m dori.minnow.train lesson student refinement ruler export
shared vae-encoder vae-decoder
