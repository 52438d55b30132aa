# What the script makes of the server's answers: 403, 429, 503.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Browser;
use Heartbeat::Test;
use Heartbeat::Token;
use Test::More;

my $SECRET = 'a secret of this test, 32 bytes or more';
my $key = Heartbeat::Token::key_file(workplace(), 'token.key', $SECRET);
my $forged = Heartbeat::Token::mint('another secret, just as long as it', sid => 'mallory');
my $server = site(
    settings => [ [ heartbeat_key_file => $key ] ],
    locations => {
        '/rate/ping' => { endpoint => 'ping', settings => [ [ heartbeat_rate => '12r/m', 'burst=0' ] ] },
        '/busy/ping' => {
            native_nginx => "            add_header Retry-After 3 always;\n            return 503;\n",
            native_apache => "        Redirect 503\n        Header always set Retry-After 3\n",
        },
    },
    pages => {
        '/forged.html' => page(qq(data-token="$forged")),
        '/rate.html' => page('data-ping="/rate/ping"'),
        '/busy.html' => page('data-ping="/busy/ping"'),
    },
);
in_browser('02-answers.mjs', $server, given => { token => Heartbeat::Token::mint($SECRET, sid => 'alice') });
no_bad_log_lines();
done_testing;
