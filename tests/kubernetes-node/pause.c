// SPDX-License-Identifier: Apache-2.0
//
// The first process of every pod: it holds what the pod's containers share, and does nothing else.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void leave(int number) {
  (void)number;
  _exit(0);
}

int main(void) {
  signal(SIGTERM, leave);  // a container's first process has no default action
  signal(SIGINT, leave);
  for (;;) pause();
}
