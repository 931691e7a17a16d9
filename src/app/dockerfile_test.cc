// SPDX-License-Identifier: Apache-2.0
#include "app/dockerfile.h"

#include <doctest/doctest.h>

namespace jobmill::app {
namespace {

using Words = std::vector<std::string>;
using Env = std::vector<std::pair<std::string, std::string>>;

Dockerfile read(std::string_view text) {
  auto file = parse_dockerfile(text);
  REQUIRE_MESSAGE(file, (file ? "" : file.error().message));
  return *std::move(file);
}

TEST_CASE("dockerfile: an application of Python as people write it") {
  const Dockerfile file = read(R"(# syntax=docker/dockerfile:1
FROM python:3.11-slim AS runtime

ENV PYTHONUNBUFFERED=1
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
CMD ["python", "processor.py"]
)");
  CHECK(file.workdir == "/app");
  CHECK(file.env == Env{{"PYTHONUNBUFFERED", "1"}});
  CHECK(file.command() == Words{"python", "processor.py"});
  CHECK(file.runs == Words{"pip install --no-cache-dir -r requirements.txt"});
  CHECK(file.requirements() == "requirements.txt");
}

TEST_CASE("dockerfile: commands in both forms, alone and together") {
  CHECK(read("FROM a\nCMD python x.py --fast").command() ==
        Words{"/bin/sh", "-c", "python x.py --fast"});
  CHECK(read("FROM a\nENTRYPOINT [\"python\"]\nCMD [\"x.py\"]").command() ==
        Words{"python", "x.py"});
  CHECK(read("FROM a\nENTRYPOINT python x.py\nCMD [\"y\"]").command() ==
        Words{"/bin/sh", "-c", "python x.py"});
  CHECK(read("FROM a\nCMD [\"a\"]\ncmd [\"b\"]").command() == Words{"b"});
  CHECK(read("FROM a\nCMD [\"a\"]\nCMD []").command().empty());
  CHECK(read("FROM a").command().empty());
}

TEST_CASE("dockerfile: lines go on after a backslash, comments between them do not count") {
  const Dockerfile file = read(
      "FROM a\nRUN apt-get update && \\\n  # tools\n\n  apt-get install x\n"
      "ENV A=1 \\\n    B=2\n");
  CHECK(file.runs == Words{"apt-get update && apt-get install x"});
  CHECK(file.env == Env{{"A", "1"}, {"B", "2"}});
}

TEST_CASE("dockerfile: variables, quoted, old-fashioned, and made of others") {
  const Dockerfile file = read(R"(ARG VERSION=3
FROM python:$VERSION
ENV A="b c" D='$x' E=f\ g
ENV OLD a value to the end
ENV PATH=/opt/bin:${PATH:-/usr/bin} V=v${VERSION} A=again
WORKDIR /srv
WORKDIR app/
)");
  CHECK(file.env == Env{{"A", "again"},
                        {"D", "$x"},
                        {"E", "f g"},
                        {"OLD", "a value to the end"},
                        {"PATH", "/opt/bin:/usr/bin"},
                        {"V", "v3"}});
  CHECK(file.workdir == "/srv/app");
}

TEST_CASE("dockerfile: the last stage counts, with what it takes from an earlier one") {
  const Dockerfile file = read(R"(FROM python AS base
ENV A=1
CMD ["base"]
FROM node AS build
ENV B=2
RUN npm ci
FROM --platform=linux/amd64 Base
ENV C=3
)");
  CHECK(file.env == Env{{"A", "1"}, {"C", "3"}});
  CHECK(file.command() == Words{"base"});
  CHECK(file.runs.empty());
}

TEST_CASE("dockerfile: what stands in a here-document is no instruction") {
  const Dockerfile file = read("FROM a\nRUN <<EOF\nCMD [\"no\"]\nEOF\nCMD [\"yes\"]\n");
  CHECK(file.command() == Words{"yes"});
}

TEST_CASE("dockerfile: mistakes name their line") {
  CHECK(parse_dockerfile("").error().message == "no FROM");
  CHECK(parse_dockerfile("\nCMD [\"x\"]\nFROM a").error().message == "line 2: CMD before FROM");
  CHECK(parse_dockerfile("FROM a\nENV A").error().message ==
        "line 2: ENV needs a name and a value");
  CHECK(parse_dockerfile("FROM a\nENV A=1 B").error().message ==
        "line 2: ENV needs NAME=VALUE, not 'B'");
}

}  // namespace
}  // namespace jobmill::app
