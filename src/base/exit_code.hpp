#pragma once
// keybearer's own exit codes, stable and documented (keybearer(1), cli.md; the numbers of
// sysexits.h where it has one). A program that ran gives its own code, 128 + n when signal n ended
// it.

namespace keybearer {

enum ExitCode : int {
  kOk = 0,                 // done, or stopped by a signal after the program ended well
  kUsage = 64,             // wrong usage of the command line
  kTemplate = 65,          // a template is wrong or can't be rendered
  kUnavailable = 69,       // the server was not reachable in time
  kBug = 70,               // a bug in keybearer
  kCantWrite = 73,         // an output file can't be written
  kNotReady = 75,          // stopped before it was ready, or something asked for is not there yet
  kDenied = 77,            // login refused, token lost, or a path denied
  kConfig = 78,            // the configuration is wrong
  kNotExecutable = 126,    // the program is there and can't be executed
  kProgramNotFound = 127,  // the program is not there
};

}  // namespace keybearer
