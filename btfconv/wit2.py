import sys,collections,struct
sys.path.insert(0,'/work/lab/scratch-btf')
from an import load,s
KS=['k-5.10.0-32.btf','s-6.1.lime.btf','s-6.12-la57.elf.btf','k-7.2.13+deb14.btf']
def mk(fn):
    T,S,R=load('/work/lab/scratch-btf/'+fn); n=len(R)
    cnt=collections.Counter(R[i][2] for i in range(1,n) if R[i][1]==4 and R[i][2])
    out=set();use=collections.Counter();sid={};rank=collections.Counter()
    for i in range(1,n):
        r=R[i]
        if r[1] not in(4,5): continue
        nm=s(S,r[2]) if r[2] and cnt[r[2]]==1 and r[1]==4 else ''
        if nm: sid[nm]=i
        for j in range(r[3]):
            mn=struct.unpack_from('<I',T,r[0]+12+12*j)[0]
            if mn:
                m=s(S,mn);use[m]+=1
                if nm: out.add((nm,m))
    return out,use,sid
ks=[mk(f) for f in KS]
common=ks[0][0]&ks[1][0]&ks[2][0]&ks[3][0]
by=collections.defaultdict(list)
sid=ks[2][2]
members=collections.Counter(a for a,b in common)
for a,b in common: by[b].append(a)
rows=[];covered=0;total=sum(ks[2][1].values())
for m,c in ks[2][1].most_common():
    if c<10: break
    l=[w for w in by[m] if sid[w]<16000]
    if len(l)<4: l=by[m]
    if len(l)<4: continue
    l.sort(key=lambda w:(len(w)>12,sid[w]//4000!=len(w)%4,len(w)))
    bk=collections.defaultdict(list)
    for w in sorted(l,key=len): bk[sid[w]//3000].append(w)
    pick=[]
    while len(pick)<6 and any(bk.values()):
        for b in sorted(bk):
            if bk[b] and len(pick)<6: pick.append(bk[b].pop(0))
    covered+=c
    rows.append((m,pick))
size=sum(len(m)+sum(len(w)+1 for w in p)+4 for m,p in rows)
print(len(rows),size,covered,total,rows[:5])
out='''package btfconv

// A nameWitness is the name of a member and structs that have it in all kernels from 5.10 on.
type nameWitness struct{ name, structs string }

// nameWitnesses are the names that most members have.
var nameWitnesses = []nameWitness{
'''
for m,p in rows: out+='\t{"%s", "%s"},\n'%(m,' '.join(p))
out+='}\n'
open('btfnames_table.go','w').write(out)
print(len(out.split('\n')))
