"use strict";
// Stands for your application, which gives its visitors a session cookie before the script looks for one.
if (!/(?:^|; )hb=/.test(document.cookie)) {
  const session = `visitor-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;
  document.cookie = `hb=${session}; path=/; max-age=86400; SameSite=Lax`;
}
