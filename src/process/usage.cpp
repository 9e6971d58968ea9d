#include "process/usage.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>

namespace keybearer {

ProcessUsage process_usage() {
  ProcessUsage usage;
  rusage times{};
  if (getrusage(RUSAGE_SELF, &times) == 0) {
    const auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    usage.cpu_seconds = seconds(times.ru_utime) + seconds(times.ru_stime);
  }
  if (std::FILE* file = std::fopen("/proc/self/statm", "re")) {
    unsigned long long pages = 0, resident = 0;
    if (std::fscanf(file, "%llu %llu", &pages, &resident) == 2) {
      const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
      usage.virtual_bytes = pages * page;
      usage.resident_bytes = resident * page;
    }
    std::fclose(file);
  }
  if (DIR* directory = opendir("/proc/self/fd")) {
    while (const dirent* entry = readdir(directory))
      if (entry->d_name[0] != '.') ++usage.open_descriptors;
    closedir(directory);
    if (usage.open_descriptors > 0) --usage.open_descriptors;  // the directory's own
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) usage.max_descriptors = limit.rlim_cur;
  return usage;
}

}  // namespace keybearer
