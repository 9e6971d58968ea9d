// Part of the table of functions (reference.hpp).

#include "tmpl/reference/reference.hpp"

namespace keybearer::tmpl::reference {
namespace {

constexpr Entry kEntries0[] = {
    {"secret", "reads a secret; with arguments k=v writes and gives the answer",
     R"({{ with secret "kv/data/app" }}{{ .Data.data.user }}{{ end }})", "ann"},
    {"secrets", "the names below a path", R"({{ range secrets "kv/metadata" }}{{ . }} {{ end }})",
     "app web "},
    {"pkiCert", "a certificate, kept until it must be replaced; .Cert, .Key, .CA, .CAChain",
     R"({{ with pkiCert "pki/issue/web" "common_name=a.example" }}{{ .Cert }}{{ end }})",
     R"((the certificate)
)"},
    {"file", "the content of a file, watched for changes; bound by sandbox_path",
     R"({{ file "/etc/site-name" }})", "web1"},
    {"env", "a variable of keybearer's own environment, or nothing", R"({{ env "REGION" }})",
     "north"},
    {"envOrDefault", "the same with a default", R"({{ envOrDefault "NOT_SET" "eu" }})", "eu"},
    {"mustEnv", "the same; an error when it is empty", R"({{ mustEnv "REGION" }})", "north"},
    {"executeTemplate", "the output of a template of this file as text",
     R"({{ define "t" }}hi {{ . }}{{ end }}{{ executeTemplate "t" "ann" | toUpper }})", "HI ANN"},
    {"writeToFile",
     "writes the last argument to a file: path, user, group, mode, flags (append, newline); gives "
     "nothing",
     R"({{ "text" | writeToFile "/run/app/extra" "" "" "0600" }})", ""},
    {"plugin", "runs a program and gives what it prints; needs allow_plugin",
     R"({{ plugin "/bin/echo" "hello" }})", "hello"},
    {"timestamp", R"(the time, in UTC; an argument is a layout of Go or "unix")",
     R"({{ timestamp "2006-01-02" }})", "2026-11-29"},
    {"sockaddr", "an address of this machine, by go-sockaddr's stages",
     R"({{ sockaddr "GetAllInterfaces | include \"name\" \"^lo$\" | include \"type\" \"IPv4\" | attr \"address\"" }})",
     "127.0.0.1"},
    {"scratch",
     "a store while the template is executed: .Get .Set .SetX .Key .MapSet .MapSetX .MapValues",
     R"({{ scratch.Set "k" "v" }}{{ scratch.Get "k" }})", "v"},
};
constexpr Entry kEntries1[] = {
    {"base64Decode", "decodes base64", R"({{ base64Decode "aGk=" }})", "hi"},
    {"base64Encode", "encodes as base64", R"({{ base64Encode "hi" }})", "aGk="},
    {"base64URLDecode", "decodes base64 for URLs", R"({{ base64URLDecode "Pz8_" }})", "???"},
    {"base64URLEncode", "encodes as base64 for URLs", R"({{ base64URLEncode "???" }})", "Pz8_"},
    {"hmacSHA256Hex", "HMAC-SHA256 of a message and a key, in hex",
     R"({{ hmacSHA256Hex "message" "key" | len }})", "64"},
    {"indent", "puts spaces before each line", R"({{ indent 2 "a" }})", "  a"},
    {"join", "a list of texts as one text", R"({{ split "," "a,b" | join "-" }})", "a-b"},
    {"md5sum", "MD5, in hex", R"({{ md5sum "a" }})", "0cc175b9c0f1b6a831c399e269772661"},
    {"parseBool", "true or false of a text", R"({{ parseBool "true" }})", "true"},
    {"parseFloat", "a number with a fraction of a text", R"({{ parseFloat "1.5" }})", "1.5"},
    {"parseInt", "a number of a text", R"({{ parseInt "42" | add 1 }})", "43"},
    {"parseJSON", "what a JSON text holds", R"({{ (parseJSON "{\"a\":\"b\"}").a }})", "b"},
    {"parseUint", "a number without a sign of a text", R"({{ parseUint "42" }})", "42"},
    {"parseYAML", "what a YAML text holds", R"({{ (parseYAML "a: b").a }})", "b"},
    {"regexMatch", "does it match the expression (RE2)",
     R"({{ "web-01" | regexMatch "^web-[0-9]+$" }})", "true"},
    {"regexReplaceAll", "replaces all matches", R"({{ "web-01" | regexReplaceAll "[0-9]+" "N" }})",
     "web-N"},
    {"replaceAll", "replaces a text everywhere", R"({{ "a.b.c" | replaceAll "." "-" }})", "a-b-c"},
    {"sha256Hex", "SHA-256, in hex", R"({{ sha256Hex "a" | len }})", "64"},
    {"split", "a list of the parts", R"({{ range split "," "a,b" }}[{{ . }}]{{ end }})", "[a][b]"},
    {"splitToMap", "a map of parts k=v", R"({{ (splitToMap "," "=" "a=1,b=2").b }})", "2"},
    {"toJSON", "as JSON; Go's escapes of < > &",
     R"({{ with secret "kv/data/app" }}{{ .Data.data.tags | toJSON }}{{ end }})",
     R"(["a\u003cb"])"},
    {"toJSONPretty", "as JSON over several lines", R"({{ parseJSON "{\"a\":1}" | toJSONPretty }})",
     R"({
  "a": 1
})"},
    {"toLower", "lower case", R"({{ toLower "ABC" }})", "abc"},
    {"toTOML", "as TOML", R"({{ parseJSON "{\"a\":\"b\"}" | toTOML }})", R"(a = "b")"},
    {"toTitle", "capitals at the beginning of words", R"({{ toTitle "new york" }})", "New York"},
    {"toUnescapedJSON", "as JSON, < > & as they are", R"({{ toUnescapedJSON "a&b" }})", R"("a&b")"},
    {"toUnescapedJSONPretty", "the same over several lines", R"({{ toUnescapedJSONPretty "a&b" }})",
     R"("a&b")"},
    {"toUpper", "upper case", R"({{ toUpper "abc" }})", "ABC"},
    {"toYAML", "as YAML", R"({{ parseJSON "{\"a\":[\"b\"]}" | toYAML }})", R"(a:
- b)"},
    {"trim", "takes these characters from both ends", R"({{ "--a--" | trim "-" }})", "a"},
    {"trimPrefix", "takes a beginning away", R"({{ "v1.2" | trimPrefix "v" }})", "1.2"},
    {"trimSpace", "takes spaces and line breaks from both ends", R"({{ trimSpace "  a " }})", "a"},
    {"trimSuffix", "takes an end away", R"({{ "a.conf" | trimSuffix ".conf" }})", "a"},
};
constexpr Entry kEntries2[] = {
    {"contains", "does a list contain a value", R"({{ split "," "a,b" | contains "a" }})", "true"},
    {"containsAll", "does a list contain all of these",
     R"({{ containsAll (sprig_list "a") (sprig_list "a" "b") }})", "true"},
    {"containsAny", "does a list contain one of these",
     R"({{ containsAny (sprig_list "a" "x") (sprig_list "a" "b") }})", "true"},
    {"containsNone", "does a list contain none of these",
     R"({{ containsNone (sprig_list "x") (sprig_list "a" "b") }})", "true"},
    {"containsNotAll", "is one of these not in a list",
     R"({{ containsNotAll (sprig_list "a" "x") (sprig_list "a" "b") }})", "true"},
    {"explodeMap", "a map with paths for keys as maps in maps",
     R"({{ (explodeMap (sprig_dict "a/b" "c")).a.b }})", "c"},
    {"in", "the list first, then the value", R"({{ in (split "," "a,b") "b" }})", "true"},
    {"loop", "the numbers from 0, or from one to before the other",
     "{{ range loop 3 }}{{ . }}{{ end }}", "012"},
    {"mergeMap", "a map, with what only the other one has",
     R"({{ (sprig_dict "a" "1" | mergeMap (sprig_dict "a" "2" "b" "3")) | toJSON }})",
     R"({"a":"2","b":"3"})"},
    {"mergeMapWithOverride", "a map, with all that the other one has",
     R"({{ (sprig_dict "a" "1" | mergeMapWithOverride (sprig_dict "a" "2")) | toJSON }})",
     R"({"a":"1"})"},
    {"add", "the sum", "{{ add 2 3 }}", "5"},
    {"subtract", "the second less the first", "{{ 5 | subtract 2 }}", "3"},
    {"multiply", "the product", "{{ multiply 2 3 }}", "6"},
    {"divide", "the second by the first", "{{ 6 | divide 2 }}", "3"},
    {"modulo", "what is left of the second by the first", "{{ 7 | modulo 2 }}", "1"},
    {"maximum", "the greater of two", "{{ maximum 2 3 }}", "3"},
    {"minimum", "the lesser of two", "{{ minimum 2 3 }}", "2"},
};
constexpr Entry kEntries3[] = {
    {"spew_dump", "prints its arguments to standard output, for looking at them; gives nothing",
     R"({{ if false }}{{ spew_dump "a" }}{{ end }})", ""},
    {"spew_printf", "the same by a format", R"({{ if false }}{{ spew_printf "%v" "a" }}{{ end }})",
     ""},
    {"spew_sdump", "the arguments with their types", R"({{ spew_sdump "a" }})",
     R"((string) (len=1) "a"
)"},
    {"spew_sprintf", "the arguments by a format, with what pointers point to",
     R"({{ spew_sprintf "%v" "a" }})", "a"},
};

constexpr Section kSections[] = {
    {"consul-template: secrets", kEntries0},
    {"consul-template: text", kEntries1},
    {"consul-template: lists, maps and numbers", kEntries2},
    {"consul-template: to look at values", kEntries3},
};

}  // namespace

std::span<const Section> consul_template_sections() {
  return kSections;
}

}  // namespace keybearer::tmpl::reference
