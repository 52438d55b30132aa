# The script in Debian's Firefox, as far as it can be driven: WebDriver BiDi, in the background only.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";
use Heartbeat::Browser;
use Heartbeat::Test;
use Test::More;

my $server = site(
    settings => [ [ heartbeat_idle => '5s' ] ],
    locations => {
        '/hb/steady.js' => { endpoint => 'script', settings => [ [ heartbeat_interval => '2s' ], [ heartbeat_idle => '20s' ] ] },
        '/hb/page' => { endpoint => 'page' },
    },
    pages => {
        '/page.html' => page(''),
        '/steady.html' => page('') =~ s/client\.js/steady.js/r,
        '/list.html' => page('data-online="#who" data-refresh="1"', '<ul id="who"></ul>'),
        '/frame.html' => page('data-frame="/hb/page"'),
    },
);
in_browser('firefox.mjs', $server, given => { browser => 'firefox' });
no_bad_log_lines();
done_testing;
