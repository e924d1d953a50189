package dwarfconv

import ("testing";"os";"context";"time";"runtime/pprof";"fmt")

func TestRun(t *testing.T){
 name:=os.Getenv("VMLINUX"); if name==""{t.Skip()}
 f,_:=os.Open(name); st,_:=f.Stat()
 if p:=os.Getenv("PROF");p!=""{w,_:=os.Create(p);pprof.StartCPUProfile(w);defer pprof.StopCPUProfile()}
 for range 3 {
 t0:=time.Now()
 n:=0
 c,err:=contents(context.Background(),f,st.Size(),&Options{Warn:func(e error){n++;if n<10{t.Log(e)}}})
 if err!=nil{t.Fatal(err)}
 fmt.Println(time.Since(t0),len(c.Types),len(c.Enums),len(c.Bases),len(c.Symbols),"damage",n)
 }
}
