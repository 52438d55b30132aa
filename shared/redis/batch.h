// A batch of signs of life as the command that applies it: the script flush.lua with its keys and arguments.
#pragma once

#include "shared/identity/shown.h"
#include "shared/redis/command.h"
#include "shared/redis/store.h"

namespace heartbeat {

/// Who sends: the name of this host's table in Redis, and the version of this software.
struct Sender {
  std::string_view node;
  std::string_view version;
  bool calm = true;  // false: hosts may still be sending what they kept while Redis was away
};

/// Writes the batch that is on its way to `store`. `clock_offset` is what to add to Millis to get the Redis clock;
/// `ids` are those of this store.
void write_batch(CommandWriter writer, ScriptForm form, const Sender& sender, const Store& store, Table& table,
                 Millis clock_offset, ShownIds& ids);

}  // namespace heartbeat
