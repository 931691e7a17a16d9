// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "targets/process/process.h"

// Container images without a container engine: programs, the shared libraries that they need, and
// the few files that those read. Nothing is run and nothing is fetched: all comes from this
// machine.
//
//   /usr/bin/…                             the programs, without what only debuggers read
//   /lib64/ld-linux-x86-64.so.2, /lib/…    the loader and the libraries
//   /etc/ssl/certs/ca-certificates.crt     whom TLS trusts
//   /usr/share/zoneinfo                    time zones, without the copies "posix" and "right"
//   /usr/share/doc/PACKAGE/copyright       of each package that a file comes from
//   /usr/share/jobmill/sbom.spdx.json      what all that is
//   /etc/passwd, group, nsswitch.conf      the user jobmill, 65532
//   /data, /tmp                            writable; all else belongs to root
//
// The same files and the same wish give the same digest.
namespace jobmill::targets {

struct ImageName {
  std::string name;        // "jobmill:0.1.0", "registry/shop/worker:2"
  std::string entrypoint;  // of the programs: "jobmill"
  Texts labels = {};
};

struct ImageWish {
  std::vector<std::string> programs;  // paths of this machine
  std::vector<ImageName> names;       // of the images, which differ in their entrypoints and labels
  std::string tool;                   // what the bill of materials names as its maker
  TimePoint made_at{};                // what everything in it is dated
};

// Where the things are that are not programs. Tests have others.
struct ImageSources {
  std::string certificates = "/etc/ssl/certs/ca-certificates.crt";
  std::string zones = "/usr/share/zoneinfo";
  std::string documents = "/usr/share/doc";
  std::string dpkg = "/var/lib/dpkg";
  std::string release = "/etc/os-release";
  std::string loader = "/etc/ld.so.conf";
};

struct BuiltImage {
  std::string name;
  std::string digest;  // of its manifest: "sha256:…"
};

// An OCI image layout as a tar file; with a manifest.json, so that `docker load` of any age takes
// it.
struct ImageArchive {
  std::string bytes;
  std::vector<BuiltImage> images;
  std::size_t programs = 0;
  std::size_t libraries = 0;
  std::size_t files = 0;  // all of them
};

// InvalidArgument: a program that is none, a library that is nowhere, a name that is none, an
// entrypoint that is not among the programs; and what of the sources is missing.
Result<ImageArchive> build_image(const ImageWish& wish, const ImageSources& sources = {});

// 65532, who runs the programs; in a cluster `runAsNonRoot` wants a number.
inline constexpr unsigned kImageUser = 65532;

}  // namespace jobmill::targets
