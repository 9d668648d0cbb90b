import sys
sys.argv=[sys.argv[0],"0"]+sys.argv[1:]
src=open('/work/probe/explore.py').read().split("for name in sys.argv[2:]")[0]
exec(src)
from safetensors.torch import load_file
for f in sys.argv[2:]:
    m=UNet2DConditionModel.from_pretrained(W/'pretrained-unet'); m.load_state_dict({k:v.float() for k,v in load_file(f).items()}); print(f[-30:],evald(m),flush=True)
