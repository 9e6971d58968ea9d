#include "tmpl/reference/reference.hpp"

namespace keybearer::tmpl::reference {
namespace {

constexpr std::string_view kHead = R"(.\" Written from src/tmpl/reference: see its test.
.Dd November 29, 2026
.Dt KEYBEARER-TEMPLATE 7
.Os
.Sh NAME
.Nm keybearer-template
.Nd templates of keybearer: language and functions
.Sh DESCRIPTION
Templates are written in the language of Go's text/template, with the functions of consul-template 0.42 and sprig.
What stands between
.Li {{
and
.Li }}
is an action; everything else is copied.
.Bd -literal -offset indent
{{ with secret "kv/data/app" }}
user = {{ .Data.data.user }}
key = {{ index .Data.data "api-key" }}
{{ end }}
.Ed
.Pp
.Li .Data
is what the server answered.
A secret of KV version 2 has its keys in
.Li .Data.data ,
all others in
.Li .Data .
A key with a dash or a dot is read by
.Li index .
.Li {{-
and
.Li -}}
take the space before and after away.
Texts stand in double quotes or backticks, never in single quotes.
.Ss Secrets that are not there yet
A template is executed when all that it asks for is there.
What it asks for is fetched, several at a time, and the template is executed again.
What has an effect outside (writeToFile, plugin, a write by
.Li secret
with arguments) happens only when nothing is missing.
.Ss Missing keys
With
.Li error_on_missing_key ,
which is the default, a key that is not there, and a key that is null, is never printed: it is an error that names the
template, line, column and key, and what keys there are.
A key that may be missing is read by
.Li index ,
and asked for by
.Li with ,
.Li if ,
.Li or
or
.Li sprig_default :
.Bd -literal -offset indent
{{ index .Data.data "region" | sprig_default "eu" }}
{{ with index .Data.data "proxy" }}proxy = {{ . }}{{ end }}
.Ed
.Pp
With
.Li error_on_missing_key = false
it is as in Go:
.Li <no value> .
.Ss Files and programs
.Li file ,
.Li writeToFile
and
.Li plugin
are bound to
.Li sandbox_path
where it is set: what lies outside of it, also behind a symbolic link, is refused.
A file that
.Li writeToFile
changed counts as a change of its template: command, signal and restart follow.
.Sh FUNCTIONS
)";

constexpr std::string_view kTail = R"(.Sh DIFFERENCES FROM CONSUL-TEMPLATE
.Bl -bullet
.It
Functions of Consul and Nomad (key, service, nomadVar ...) are refused, with an error that says whose they are.
.It
.Li error_on_missing_key
is true by default, and goes further: null, index, scratch.Get and printf are held to it.
.It
writeToFile, plugin and writes to the server wait until nothing is missing, and writeToFile is bound to sandbox_path.
.It
plugin needs
.Li allow_plugin = true .
.It
Two calls of pkiCert with other arguments are two certificates.
.It
Errors show no value of a secret.
.It
mergeMap works on a copy: other templates do not see what it changed.
.It
An execution may take 5 s, 10,000,000 rounds of range and 64 MiB of text.
.El
.Sh SEE ALSO
.Xr keybearer 1 ,
.Xr agent.toml 5
)";

// Of roff: a backslash is \e; a line may not begin with a dot or quote.
void append_literal(std::string& out, std::string_view text) {
  bool begin = true;
  for (const char c : text) {
    if (begin && (c == '.' || c == '\'')) out += "\\&";
    begin = c == '\n';
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
}

void append_entry(std::string& out, const Entry& entry) {
  out += ".It Li ";
  out += entry.name;
  out += '\n';
  append_literal(out, entry.meaning);
  out += "\n.Bd -literal -compact\n";
  append_literal(out, entry.example);
  std::string_view output = entry.output;
  while (output.ends_with('\n')) output.remove_suffix(1);
  if (output.empty() || output.find('\n') != std::string_view::npos) {
    out += output.empty() ? "\n" : "\n\n";
    append_literal(out, output);
    if (!output.empty()) out += '\n';
  } else {
    out += "  \\(->  ";
    append_literal(out, output);
    out += '\n';
  }
  out += ".Ed\n";
}

}  // namespace

std::string manual_page() {
  std::string out(kHead);
  for (const auto sections : {go_sections(), consul_template_sections(), sprig_text_sections(),
                              sprig_values_sections()}) {
    for (const Section& section : sections) {
      out += ".Ss ";
      out += section.title;
      out += "\n.Bl -tag -width indent\n";
      for (const Entry& entry : section.entries) append_entry(out, entry);
      out += ".El\n";
    }
  }
  return out.append(kTail);
}

}  // namespace keybearer::tmpl::reference
