# The tabs of a site: one beats, all agree.
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
my ($ann, $bob, $new) = map { Heartbeat::Token::mint($SECRET, sid => $_) } qw(ann bob mixed);
my $old = Heartbeat::Token::mint($SECRET, sid => 'mixed', exp => time - 1000);
my $server = site(
    settings => [ [ heartbeat_key_file => $key ] ],
    locations => {
        '/hb/client.js' => { endpoint => 'script', settings => [ [ heartbeat_interval => '2s' ] ] },
        '/hb/short.js' => { endpoint => 'script', settings => [ [ heartbeat_interval => '2s' ], [ heartbeat_idle => '5s' ] ] },
    },
    pages => {
        '/page.html' => page(''), '/short.html' => page('') =~ s/client\.js/short.js/r,
        '/ann.html' => page(qq(data-token="$ann")), '/bob.html' => page(qq(data-token="$bob")),
        '/old.html' => page(qq(data-token="$old")), '/new.html' => page(qq(data-token="$new")),
    },
);
in_browser('04-tabs.mjs', $server);
no_bad_log_lines();
done_testing;
