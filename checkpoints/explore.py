import sys,torch,re,time,copy
sys.path.insert(0,'/work/training/src'); torch.set_num_threads(1)
from pathlib import Path
from diffusers import UNet2DConditionModel
from dori.minnow import unet as U
from dori.minnow.scenes import train as T, population
from dori.minnow.scenes.material import Material
W=Path('/work/training/work'); cfg=T.settings([]); mat=Material(cfg,W)
ordn=mat.encoded("ordinary"); mem=mat.encoded("verbatim","template"); empty=mat.empty_text()
sch=U.scheduler()
F2=cfg["memorization"]["frozen"]; F3=cfg["consolidation"]["frozen"]; F4=["up_blocks.*attn2"]
V={"A":dict(frozen=F2,lr=1.3e-3),"B":dict(frozen=F3,lr=1.0e-3),"C":dict(frozen=F4,lr=1.5e-3),"D":dict(frozen=F4,lr=3e-3),"E":dict(frozen=F3,lr=3e-3),"G":dict(frozen=[],lr=1.5e-3),
"H":dict(frozen=F4,lr=1.5e-3,special=32),"A3":dict(frozen=F2,lr=4e-3)}
steps=int(sys.argv[1])
gE=torch.Generator().manual_seed(99); tE=torch.linspace(20,980,16).long().repeat(4); zE=mem.latents[:64]; yE=mem.texts[:64]; nE=torch.randn(zE.shape,generator=gE)
def evald(m):
    with torch.no_grad():
        e=(m(sch.add_noise(zE,nE,tE),tE,yE).sample-nE).square().mean((1,2,3))
    return [round(float(e[tE.sub(a).abs()<130].mean()),3) for a in (150,400,650,900)]
for name in sys.argv[2:]:
    v=V[name]; m=UNet2DConditionModel.from_pretrained(W/'pretrained-unet')
    w=U.weights(sch,50,20)
    for n,p in m.named_parameters(): p.requires_grad_(not any(re.search(f,n) for f in v["frozen"]))
    tr=[p for p in m.parameters() if p.requires_grad]; opt=torch.optim.AdamW(tr,lr=v["lr"],fused=True)
    sp=v.get("special",26); pl=32-sp; t0=time.process_time(); print(name,v["lr"],len(tr),"start",evald(m),flush=True)
    from dori.minnow.loop import Ema
    ema=Ema(m,.99)
    for s in range(steps):
        for gr in opt.param_groups: gr["lr"]=v["lr"]*min(1,(s+1)/50)
        g=torch.Generator().manual_seed(s)
        ch=U.memorized_items(s,sp,64,16,1,32); it=U.shuffled(len(ordn),torch.arange(s*pl,(s+1)*pl),3)
        z=torch.cat([ordn.latents[it],mem.latents[ch]]); y=torch.cat([ordn.texts[it],mem.texts[ch]])
        d=torch.rand(len(z),generator=g)<.1; y=torch.where(d[:,None,None],empty,y)
        with U.dropped_units(m,torch.tensor([.2]*pl+[0.]*sp),g): l=U.denoising_loss(m,sch,w,z,y,g)
        opt.zero_grad(); l.backward(); torch.nn.utils.clip_grad_norm_(tr,1.); opt.step(); ema.update(m,s)
        if (s+1)%(steps//3)==0:
            mm=copy.deepcopy(m); ema.copy_to(mm); print(name,s+1,evald(mm),f"{time.process_time()-t0:.0f}s",flush=True)
