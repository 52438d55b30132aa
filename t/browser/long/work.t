# What the script costs the page: next to no work. A measurement: on a busy machine it says little.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../../lib";
use Heartbeat::Browser;
use Heartbeat::Test;
use Test::More;

my $list = page('data-online="#who" data-refresh="1"', '<ul id="who"></ul>');
my $server = site(
    locations => { '/hb/patient.js' => { endpoint => 'script', settings => [ [ heartbeat_idle => '2h' ] ] } },
    pages => {
        '/page.html' => $list, '/quiet.html' => page(''), '/plain.html' => '<!doctype html><title>Plain</title><p>Another page.',
        '/patient.html' => $list =~ s/client\.js" /patient.js" data-worker="off" /r,
    },
);
in_browser('work.mjs', $server);
no_bad_log_lines();
done_testing;
