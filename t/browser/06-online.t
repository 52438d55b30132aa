# Who is online, in an element of the page.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Browser;
use Heartbeat::Test;
use Test::More;

my $server = site(
    locations => { '/hb/short.js' => { endpoint => 'script', settings => [ [ heartbeat_idle => '3s' ] ] } },
    main => [ [ heartbeat_flush => '200ms' ] ],
    pages => {
        '/list.html' => page('data-online="#who" data-refresh="1"', '<ul id="who"><li>Nobody yet</ul>'),
        '/line.html' => page('data-online="#who" data-list="/hb/online?limit=1" data-refresh="1"', '<p id="who">'),
        '/own.html' => page('data-online="" data-refresh="1"'),
        '/none.html' => page(''),
        '/short.html' => page('data-online="" data-refresh="1"') =~ s/client\.js/short.js/r,
    },
);
in_browser('06-online.mjs', $server);
no_bad_log_lines();
done_testing;
