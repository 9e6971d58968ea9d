#pragma once
// The status page's style and script, as they stand in it. Internal to serve/.

#include <string_view>

namespace keybearer::serve {

inline constexpr std::string_view kPageStyle = R"css(
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--line:#dfe3e8;--text:#1c2430;--dim:#5b6675;--good:#17703c;--warn:#8a5a00;--bad:#b3261e;--goodbg:#e3f4e9;--warnbg:#fdf1d8;--badbg:#fbe4e2}
@media (prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1b2129;--line:#303944;--text:#e6eaf0;--dim:#9aa6b4;--good:#6fd694;--warn:#f0bf5a;--bad:#ff8f85;--goodbg:#16321f;--warnbg:#3a2c0c;--badbg:#40191a}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1080px;margin:0 auto;padding:16px}
header{display:flex;flex-wrap:wrap;gap:4px 14px;align-items:baseline;margin:4px 0 14px}
h1{font-size:20px;margin:0;overflow-wrap:anywhere}
h2{font-size:13px;margin:0 0 8px;color:var(--dim);font-weight:600;letter-spacing:.02em}
.dim{color:var(--dim)}.pill.dim{padding:1px 0}
.pill{display:inline-block;padding:1px 9px;border-radius:99px;font-weight:600;font-size:13px;white-space:nowrap}
.good{color:var(--good);background:var(--goodbg)}.warn{color:var(--warn);background:var(--warnbg)}.bad{color:var(--bad);background:var(--badbg)}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px;margin:0 0 12px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(240px,1fr));gap:12px}
.cards{margin:0 0 12px}.cards section{margin:0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 12px;margin:0}
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;width:100%}
th{text-align:left;font-weight:500;color:var(--dim);font-size:13px;padding:2px 10px 4px 0}
td{padding:5px 10px 5px 0;border-top:1px solid var(--line);vertical-align:top;font-variant-numeric:tabular-nums}
td:first-child{overflow-wrap:anywhere;font-weight:500}
td:not(:first-child):not(:last-child){white-space:nowrap}
td:last-child{width:36%;overflow-wrap:anywhere}
ul{margin:0;padding:0 0 0 18px}li{overflow-wrap:anywhere}
footer{color:var(--dim);font-size:13px;margin:4px 0 20px}
@media (max-width:640px){main{padding:10px}thead{display:none}tr{display:block;border-top:1px solid var(--line);padding:6px 0}tbody tr:first-child{border-top:0}td{display:grid;grid-template-columns:96px 1fr;border:0;padding:1px 0}td:first-child{display:block}td:not(:first-child)::before{content:attr(data-label);color:var(--dim)}td:empty{display:none}td:last-child{width:auto}td:not(:first-child):not(:last-child){white-space:normal}td .pill{justify-self:start}}
)css";

// Builds the same page from JSON, by text nodes only. Asks every five seconds, and not while nobody
// looks; count-downs go on by themselves.
inline constexpr std::string_view kPageScript = R"js(
"use strict";
(()=>{
const $=i=>document.getElementById(i),el=(t,c,...k)=>{const e=document.createElement(t);if(c)e.className=c;for(const x of k)e.append(x);return e};
const two=(a,u,b,v)=>b?a+u+" "+b+v:a+u;
const span=s=>{s=Math.floor(s);if(s<0)return"now";if(s>=86400)return two(Math.floor(s/86400),"d",Math.floor(s%86400/3600),"h");if(s>=3600)return two(Math.floor(s/3600),"h",Math.floor(s%3600/60),"m");if(s>=60)return two(Math.floor(s/60),"m",s%60,"s");return s+"s"};
let got=performance.now();
const counters=()=>{const past=(performance.now()-got)/1000;for(const e of document.querySelectorAll("[data-left]"))e.textContent=span(e.dataset.left-past);for(const e of document.querySelectorAll("[data-up]"))e.textContent=span(+e.dataset.up+past)};
const left=s=>{if(s==null)return"-";const e=el("span");e.dataset.left=s;return e};
const up=s=>{if(s==null)return"-";const e=el("span");e.dataset.up=s;return e};
const pill=(t,c)=>el("span","pill "+c,t);
const list=pairs=>{const d=el("dl");for(const[k,v]of pairs)if(v!=null&&v!=="")d.append(el("dt","",k),el("dd","",v));return d};
const clock=t=>t?t.slice(0,10)+" "+t.slice(11,19):"-";
const fill=(id,...k)=>$(id).replaceChildren(...k);
const rows=(id,names,all)=>{$(id+"-section").hidden=!all.length;fill(id,...all.map(r=>{const tr=el("tr");r.forEach((c,i)=>{const td=el("td","",c??"");if(i)td.dataset.label=names[i];tr.append(td)});return tr}))};
const draw=s=>{
got=performance.now();
document.title=(s.ready?"ready":"not ready")+" - "+s.instance.name;
fill("name",s.instance.name);
fill("ready",pill(s.ready?"ready":"not ready",s.ready?"good":"bad"));
fill("about","keybearer "+s.instance.version+", "+s.instance.mode+", pid "+s.instance.pid+", up ",up(s.instance.uptime));
$("reasons-section").hidden=!s.reasons.length;
fill("reasons",...s.reasons.map(r=>el("li","",r.subject+": "+r.reason)));
const t=s.token,held=t.phase==="valid"||t.phase==="ending";
fill("token",list([["state",pill(t.phase.replace("_"," "),t.phase==="valid"?"good":t.phase==="lost"?"bad":"warn")],["method",t.method],["ends in",held?(t.expires?left(t.expires_in):"never"):null],[t.phase==="valid"?"renewal in":"next try in",t.next?left(t.next_in):null],["error",t.error]]));
fill("server",list([["state",s.server.reachable?pill("reachable","good"):pill("no answer","warn")],["address",s.server.address],["version",s.server.version],["since",s.server.reachable?clock(s.server.reachable_since):null],["error",s.server.error]]));
const c=s.child;$("child-section").hidden=!c;
if(c)fill("child",list([["state",pill(c.state.replaceAll("_"," "),c.state==="running"||c.state==="background"?"good":"warn")],["command",c.command],["pid",c.pid==null?null:""+c.pid],["up",c.uptime==null?null:up(c.uptime)],["restarts",""+c.restarts],["last end",c.last_exit?(c.last_exit.kind==="signal"?"signal ":"code ")+c.last_exit.code:null],["values",c.outdated?"outdated, as configured":null]]));
rows("secrets",["","state","kind","version","lease","next","last change"],s.secrets.map(x=>[x.path,pill(x.state,x.state==="fresh"?"good":x.state==="expired"||!x.generation?"bad":"warn"),x.kind,x.version==null?"":"v"+x.version,left(x.lease_ends_in),left(x.next_refresh_in),x.error||x.reason]));
rows("files",["","mode","written","result"],s.files.map(f=>[f.path,f.mode,clock(f.last_written),f.error||f.result]));
rows("events",["","event","message"],s.events.slice(-20).reverse().map(e=>[clock(e.time),pill(e.event,e.level==="error"?"bad":e.level==="warn"?"warn":"dim"),e.message]));
fill("stamp",clock(s.time)+" UTC");
counters()};
let busy=false;
const ask=async()=>{if(busy||document.hidden)return;busy=true;try{const r=await fetch("/?format=json",{cache:"no-store"});if(!r.ok)throw 0;draw(await r.json());$("live").textContent="live"}catch{$("live").textContent="keybearer does not answer"}finally{busy=false}};
setInterval(ask,5000);setInterval(()=>{if(!document.hidden)counters()},1000);
document.addEventListener("visibilitychange",ask);
ask()})();
)js";

}  // namespace keybearer::serve
