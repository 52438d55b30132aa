// The version of the software, in the one place where it is named.
#pragma once

#define HEARTBEAT_VERSION "0.1.0"
