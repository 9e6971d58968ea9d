// Runs vectors made by the reference implementation (vectors/README.md has the format):
//   template_vectors FILE.jsonl...         every case; prints each that differs, ends with "N
//   passed, M failed" template_vectors --time BENCH.json...  "NAME parse N ns execute N ns"

#include <malloc.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "json/json.hpp"
#include "tmpl/funcs/write_file.hpp"
#include "tmpl/template.hpp"

namespace keybearer {
namespace {

namespace fs = std::filesystem;

std::string from_base64(std::string_view text) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  unsigned bits = 0, count = 0;
  for (const char c : text) {
    const auto digit = kAlphabet.find(c);
    if (digit == std::string_view::npos) continue;
    bits = bits << 6 | static_cast<unsigned>(digit);
    if (++count % 4 != 1) out += static_cast<char>(bits >> (6 - 2 * ((count - 1) % 4)) & 255);
  }
  return out;
}

// The member NAME, or NAME_b64 decoded.
std::optional<std::string> bytes_at(const Value& object, const std::string& name) {
  if (const Value* coded = object.find(name + "_b64")) return from_base64(coded->as_text());
  if (const Value* plain = object.find(name)) return std::string(plain->as_text());
  return std::nullopt;
}

std::vector<std::string> texts(const Value& list) {
  std::vector<std::string> out;
  if (list.is_list()) {
    for (const Value& item : list.items()) out.emplace_back(item.as_text());
  }
  return out;
}

// consul-template's: a certificate is known by where it goes, not by what is asked for.
std::string vector_id(const tmpl::Dependency& dependency) {
  if (dependency.kind != tmpl::Dependency::Kind::pki) return dependency.id;
  return "vault.pki(" + dependency.path + "->" + dependency.destination + ")";
}

class Answers final : public tmpl::DataSource {
 public:
  std::map<std::string, Value> values;
  [[nodiscard]] const Value* find(const tmpl::Dependency& dependency) override {
    const auto at = values.find(vector_id(dependency));
    return at == values.end() ? nullptr : &at->second;
  }
};

Value answer_of(const Value& secret) {
  const std::string_view kind = text_at(secret, "kind");
  if (kind == "list")
    return Value::strings(value_at(secret, "keys").is_list() ? value_at(secret, "keys").items()
                                                             : List{});
  if (kind == "file") return Value(bytes_at(secret, "content").value_or(""));
  if (kind == "pki") {
    const Value& pki = value_at(secret, "pki");
    Value bundle = Value::map();
    bundle.set("Cert", Value(text_at(pki, "cert")));
    bundle.set("Key", Value(text_at(pki, "key")));
    bundle.set("CA", Value(text_at(pki, "ca")));
    bundle.set("CAChain", Value::strings(value_at(pki, "ca_chain").is_list()
                                             ? value_at(pki, "ca_chain").items()
                                             : List{}));
    return bundle;
  }
  if (bool_at(secret, "no_content")) return {};
  if (const Value* response = secret.find("response")) return *response;
  if (const auto raw = bytes_at(secret, "response")) {
    if (auto parsed = json::parse(*raw)) return *parsed;
  }
  return {};
}

std::map<std::string, std::string> environment_of(const Value& vector) {
  std::map<std::string, std::string> out;
  if (const Value* env = vector.find("env")) {
    for (const auto& [name, value] : env->entries())
      out[std::string(name.as_text())] = value.as_text();
  }
  std::map<std::string, std::string> runner;  // of two with one name the first counts
  for (const std::string& pair : texts(value_at(value_at(vector, "options"), "runner_env"))) {
    const auto equals = pair.find('=');
    runner.emplace(pair.substr(0, equals),
                   equals == std::string::npos ? "" : pair.substr(equals + 1));
  }
  runner.merge(out);
  return runner;
}

WallTime parse_now(std::string_view text) {
  tm parts{};
  double fraction = 0;
  std::string copy(text);
  const char* rest = strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest != nullptr && *rest == '.') fraction = std::strtod(rest, nullptr);
  const auto sign = copy.find_first_of("+-", sizeof "2006-01-02T15" - 1);
  if (sign != std::string::npos) {
    int hours = 0, minutes = 0;
    std::sscanf(copy.c_str() + sign + 1, "%d:%d", &hours, &minutes);
    fraction -= (copy[sign] == '-' ? -1 : 1) * (hours * 60 + minutes) * 60;
  }
  return std::chrono::system_clock::from_time_t(timegm(&parts)) +
         std::chrono::duration_cast<WallTime::duration>(std::chrono::duration<double>(fraction));
}

tmpl::Options options_of(const Value& vector) {
  const Value& options = value_at(vector, "options");
  tmpl::Options out;
  if (!text_at(options, "left_delimiter").empty())
    out.left_delimiter = text_at(options, "left_delimiter");
  if (!text_at(options, "right_delimiter").empty())
    out.right_delimiter = text_at(options, "right_delimiter");
  out.error_on_missing_key = bool_at(options, "error_on_missing_key");
  out.sandbox_path = text_at(options, "sandbox_path");
  out.function_denylist = texts(value_at(options, "function_denylist"));
  out.destination = text_at(options, "destination");
  out.allow_plugin = true;
  out.as_reference = true;
  out.env = [env = environment_of(vector)](const std::string& name) -> std::optional<std::string> {
    const auto at = env.find(name);
    if (at == env.end()) return std::nullopt;
    return at->second;
  };
  if (!text_at(options, "now").empty()) {
    out.now = [now = parse_now(text_at(options, "now"))] { return now; };
  }
  return out;
}

void lay_out(const Value& disk) {
  if (const Value* files = disk.find("files")) {
    for (const auto& [path, content] : files->entries()) {
      const fs::path at{std::string(path.as_text())};
      if (at.has_parent_path()) fs::create_directories(at.parent_path());
      std::ofstream(at, std::ios::binary) << content.as_text();
    }
  }
  if (const Value* links = disk.find("links")) {
    for (const auto& [path, target] : links->entries()) {
      fs::create_symlink(std::string(target.as_text()), std::string(path.as_text()));
    }
  }
}

struct Got {
  std::optional<std::string> output;
  std::string error;
  std::vector<std::string> used, missing;
};

// The reference writes at once; here it is done after the pass, and the first that fails is the
// template's error.
std::string carry_out(const std::vector<tmpl::FileEffect>& effects) {
  for (const tmpl::FileEffect& effect : effects) {
    const auto done = tmpl::write_file({.path = effect.path,
                                        .user = effect.user,
                                        .group = effect.group,
                                        .mode = effect.mode,
                                        .append = effect.append,
                                        .content = effect.content->reveal()});
    if (!done) return effect.context + ": error calling writeToFile: " + done.error();
  }
  return {};
}

Got evaluate(const tmpl::Template& parsed, Answers& answers) {
  const tmpl::Execution done = parsed.execute(answers);
  const std::string error = done.error ? done.error->text : carry_out(done.effects);
  if (!error.empty()) return {std::nullopt, "execute: " + error, {}, {}};
  Got got{std::string(done.text.reveal()), "", {}, {}};
  const auto add = [](std::vector<std::string>& ids, std::string id) {
    if (std::ranges::find(ids, id) == ids.end()) ids.push_back(std::move(id));
  };
  for (const tmpl::Use& use : done.used) add(got.used, vector_id(use.dependency));
  for (const tmpl::Dependency& dependency : done.missing) add(got.missing, vector_id(dependency));
  return got;
}

Got run(const Value& vector) {
  auto parsed =
      tmpl::Template::parse("t", bytes_at(vector, "template").value_or(""), options_of(vector));
  if (!parsed) return {std::nullopt, "parse: " + parsed.error().text, {}, {}};
  Answers answers;
  const Value& secrets = value_at(vector, "secrets");
  std::map<std::string, Value> later;
  const bool passes = bool_at(value_at(vector, "options"), "multi_pass");
  if (secrets.is_list()) {
    for (const Value& secret : secrets.items()) {
      (passes ? later : answers.values)[std::string(text_at(secret, "id"))] = answer_of(secret);
    }
  }
  Got got = evaluate(*parsed, answers);
  for (bool more = passes; more;) {
    more = false;
    for (const std::string& id : got.missing) {
      if (!later.contains(id) || answers.values.contains(id)) continue;
      answers.values[id] = later[id];
      more = true;
    }
    if (more) got = evaluate(*parsed, answers);
  }
  return got;
}

// Where our text has [masked], the reference's may show anything: it repeats values of
// secrets, which ours must not (README.md).
bool matches(std::string_view got, std::string_view expected) {
  const auto mark = got.find("[masked]");
  if (mark == std::string_view::npos) return got == expected;
  if (got.substr(0, mark) != expected.substr(0, mark)) return false;
  const std::string_view after = got.substr(got.find(']', mark) + 1);
  for (std::size_t at = mark; at <= expected.size(); ++at) {
    if (matches(after, expected.substr(at))) return true;
  }
  return false;
}

// Error texts may differ where Go's runtime speaks or consul-template redacts: there the part
// before must match.
bool same_error(const Value& want, const std::string& got) {
  std::string expected = bytes_at(want, "error").value_or("");
  if (text_at(want, "error_kind") == "new") return !got.empty();
  if (bool_at(want, "redacted")) expected = expected.substr(0, expected.find(" at <"));
  if (bool_at(want, "go_text")) {
    const auto calling = expected.find("error calling ");
    const auto end = calling == std::string::npos ? calling : expected.find(": ", calling);
    expected = expected.substr(0, end);
  }
  return bool_at(want, "redacted") || bool_at(want, "go_text") ? got.starts_with(expected)
                                                               : matches(got, expected);
}

std::string shown(const std::string& text) {
  return text.size() > 300 ? text.substr(0, 300) + "..." : text;
}

std::string difference(const Value& vector, const Got& got) {
  const Value& want = value_at(vector, "want");
  if (const auto output = bytes_at(want, "output")) {
    if (!got.output) return "got " + shown(got.error) + " want output " + shown(*output);
    if (*got.output != *output) return "got " + shown(*got.output) + " want " + shown(*output);
    if (const Value* used = vector.find("used"); used != nullptr && texts(*used) != got.used)
      return "other dependencies used";
    if (texts(value_at(vector, "missing")) != got.missing) return "other dependencies missing";
  } else {
    if (got.output)
      return "got output " + shown(*got.output) + " want error " +
             shown(bytes_at(want, "error").value_or(""));
    if (!same_error(want, got.error))
      return "got " + shown(got.error) + " want " + shown(bytes_at(want, "error").value_or(""));
  }
  if (const Value* files = want.find("files")) {
    for (const auto& [path, file] : files->entries()) {
      std::ifstream in(std::string(path.as_text()), std::ios::binary);
      std::stringstream content;
      content << in.rdbuf();
      if (!in || content.str() != bytes_at(file, "content").value_or(""))
        return "file " + std::string(path.as_text()) + " differs";
      struct stat info{};
      const std::string mode(text_at(file, "mode"));
      stat(std::string(path.as_text()).c_str(), &info);
      if (!mode.empty() && (info.st_mode & 07777) != std::stoul(mode, nullptr, 8))
        return "the mode of file " + std::string(path.as_text()) + " differs";
    }
  }
  return {};
}

int run_files(int argc, char** argv) {
  int passed = 0, failed = 0;
  umask(022);
  const fs::path start = fs::current_path();
  for (int i = 1; i < argc; ++i) {
    std::ifstream in(argv[i]);
    if (!in) {
      std::printf("%s: can't be read\n", argv[i]);
      ++failed;
    }
    int line = 0;
    for (std::string text; std::getline(in, text);) {
      ++line;
      const auto vector = json::parse(text);
      if (!vector) {
        std::printf("%s:%d: %s\n", argv[i], line, vector.error().text.c_str());
        ++failed;
        continue;
      }
      std::string scratch = (fs::temp_directory_path() / "vectors-XXXXXX").string();
      const bool disk =
          vector->find("disk") != nullptr || value_at(*vector, "want").find("files") != nullptr ||
          bytes_at(*vector, "template").value_or("").find("writeToFile") != std::string::npos;
      if (disk && mkdtemp(scratch.data()) != nullptr) {
        fs::current_path(scratch);
        lay_out(value_at(*vector, "disk"));
      }
      const std::string differs = difference(*vector, run(*vector));
      if (disk) {
        fs::current_path(start);
        fs::remove_all(scratch);
      }
      if (differs.empty()) {
        ++passed;
        continue;
      }
      ++failed;
      std::printf("%s:%d %s: %s\n", argv[i], line, std::string(text_at(*vector, "name")).c_str(),
                  differs.c_str());
    }
  }
  std::printf("\n%d passed, %d failed\n", passed, failed);  // after what spew_dump printed
  return failed == 0 ? 0 : 1;
}

// The processor time of this program: on a machine that others use too, time on the wall says little.
struct ProcessorTime {
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::time_point<ProcessorTime, duration>;
  static time_point now() {
    timespec used{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return time_point(std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec));
  }
};

// The mean of at least two runs within about a twentieth of a second, after one that warms up.
template <class Work>
double quick_nanoseconds(Work work) {
  using Time = ProcessorTime;
  work();
  const auto begin = Time::now();
  int runs = 0;
  for (; runs < 2 || Time::now() - begin < std::chrono::milliseconds(50); ++runs) work();
  return std::chrono::duration<double, std::nano>(Time::now() - begin).count() / runs;
}

template <class Work>
double nanoseconds(Work work) {
  using Time = ProcessorTime;
  double least = 1e18;
  for (int round = 0; round < 7; ++round) {
    long count = 0;
    const auto begin = Time::now();
    for (; Time::now() - begin < std::chrono::milliseconds(150); ++count) work();
    const double spent = std::chrono::duration<double, std::nano>(Time::now() - begin).count();
    least = std::min(least, spent / static_cast<double>(count));
  }
  return least;
}

int time_files(int argc, char** argv) {
  for (int i = 2; i < argc; ++i) {
    std::ifstream in(argv[i]);
    std::stringstream text;
    text << in.rdbuf();
    const auto vector = json::parse(text.str());
    if (!vector) return 1;
    Answers answers;
    for (const Value& secret : value_at(*vector, "secrets").items()) {
      answers.values[std::string(text_at(secret, "id"))] = answer_of(secret);
    }
    const std::string source = bytes_at(*vector, "template").value_or("");
    const auto parse = [&] { return tmpl::Template::parse("t", source, options_of(*vector)); };
    const auto parsed = parse();
    if (!parsed || parsed->execute(answers).error) return 1;
    std::printf("%s parse %.0f ns execute %.0f ns\n", fs::path(argv[i]).stem().c_str(),
                nanoseconds([&] { (void)parse(); }),
                nanoseconds([&] { (void)parsed->execute(answers); }));
  }
  return 0;
}

// Cases as in the vectors; one that fails says so.
int time_quickly(const char* path) {
  // As Go's does between two runs, the heap keeps what it has: the functions are measured, not how
  // fast the kernel clears pages.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
  std::ifstream in(path);
  for (std::string text; std::getline(in, text);) {
    const auto vector = json::parse(text, {.max_values = 10'000'000});
    if (!vector) return 1;
    Answers answers;
    for (const Value& secret : value_at(*vector, "secrets").items())
      answers.values[std::string(text_at(secret, "id"))] = answer_of(secret);
    const std::string name(text_at(*vector, "name"));
    const auto parsed =
        tmpl::Template::parse("t", bytes_at(*vector, "template").value_or(""), options_of(*vector));
    const auto error = parsed ? parsed->execute(answers).error : std::optional(parsed.error());
    if (error)
      std::printf("%s error %s\n", name.c_str(), shown(error->text).c_str());
    else
      std::printf("%s %.0f ns\n", name.c_str(),
                  quick_nanoseconds([&] { (void)parsed->execute(answers); }));
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace keybearer

int main(int argc, char** argv) {
  if (argc > 2 && std::strcmp(argv[1], "--time") == 0) return keybearer::time_files(argc, argv);
  if (argc == 3 && std::strcmp(argv[1], "--quick") == 0) return keybearer::time_quickly(argv[2]);
  if (argc > 1) return keybearer::run_files(argc, argv);
  std::puts("usage: template_vectors FILE.jsonl... | --time BENCH.json... | --quick CASES.jsonl");
  return 64;
}
