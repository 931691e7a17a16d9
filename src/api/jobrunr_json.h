// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json_writer.h"
#include "jobs/job_store.h"

// Jobs, recurring jobs and servers in the shapes that JobRunr's dashboard has, for clients that
// know those; what jobmill knows more stands beside.
namespace jobmill::api {

// "mail.send(string,integer)": the kind with the JSON types of the arguments.
std::string signature_of(std::string_view kind, std::string_view args);

// The lines that the n-th event of a job's history led to, n counted from 1.
struct EventLog {
  std::size_t event = 0;
  std::vector<jobs::LogLine> lines;
};

// An object. Without `logs` those are left out, as in lists.
void write_jobrunr_job(JsonWriter& json, const jobs::Job& job,
                       std::span<const jobs::JobEvent> history,
                       std::span<const EventLog> logs = {});

// An object's members: who writes them may have more to say.
void write_jobrunr_recurring(JsonWriter& json, const jobs::RecurringJob& recurring);

// As a server was asked to keep jobs.
struct Retention {
  Duration succeeded{};
  Duration deleted{};
};
// An object's members, too.
void write_jobrunr_server(JsonWriter& json, const jobs::Worker& worker, const Retention& keep);

// Where a page stands in its list, and how to ask for its neighbours.
struct PageFacts {
  std::int64_t total = 0;
  bool exact = true;  // false: there are at least so many
  std::int64_t offset = 0;
  int limit = 20;
  std::string order{};
  bool has_previous = false;
  bool has_next = false;
  std::string previous{};  // cursors, where the list has them
  std::string next{};
};
// The members of a page but `items`.
void write_page_facts(JsonWriter& json, const PageFacts& page);

}  // namespace jobmill::api
