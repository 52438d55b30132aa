# Beacons are merged by page view: each once, whatever the order, the server and the trouble; and counted honestly.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Heartbeat::Scripts;
use Heartbeat::Test;
use List::Util qw(shuffle);
use POSIX qw(strftime);
use Test::More;

my $redis = redis();
my $script = Heartbeat::Scripts->new(redis => $redis);
my ($shards, $sites) = (1, 0);

sub site { return { site => 'b' . ++$sites, shards => $shards, @_ } }
# A server of its own, so that its positions begin anew.
sub host { return $script->other('x', positions => {}) }
sub tag_of { my ($site, $name) = @_; return tag($site->{site}, $site->{shards}, $name) }
sub look_now { my ($site, @views) = @_; $script->call('ZADD', tag_of($site, $_) . 'views', 'XX', 0, $_) for @views }

# A session as the flush would leave it: online or not, with its last sign of life.
sub put_session {
    my ($site, $id, %o) = @_;
    my $state = join '', map { Heartbeat::Scripts::unsigned(@$_) } [ 1, $o{online} ? 9 : 8 ], [ 6, $o{last} ], [ 6, $o{last} ], [ 6, 0 ], [ 6, 0 ], [ 6, $o{online} ? $o{last} + 90_000 : 0 ],
        [ 6, 0 ], [ 6, 0 ], [ 4, 1 ], [ 6, 0 ];
    $script->call('HSET', tag_of($site, $id) . "session:$id", state => $state);
}

# Counters but for those by transport and family.
sub totals { my ($site) = @_; my $all = $script->delivery($site); return { map { /:/ ? () : ($_ => $all->{$_}) } keys %$all } }
sub of { my ($view, @fields) = @_; return join ' ', map { $view->{$_} // '-' } @fields }

for my $parts (1, 7) {
    $shards = $parts;

    subtest "one view, $parts parts" => sub {
        my ($site, $server, $now) = (site(), host(), $script->now);
        is_deeply($server->merge($site, delivered('v', at => $now, session => 's')), [ 1, 1, 0, '' ], 'the script was delivered');
        is(of($script->view($site, 'v'), qw(state script load leave first seen session family choice parts batches)), "open $now - - $now $now s chromium fetchLater 1 -", 'and is known');
        is_deeply($server->merge($site,
            batch('v', 0, at => $now + 100, event => 'load', payload => 'zero'),
            batch('v', 1, at => $now + 200, payload => "one\0\xff", type => 'text/plain', flags => 'zc'),
            batch('v', 2, at => $now + 300, event => 'hidden', transport => 'beacon', payload => '', flags => 'f', session => 't')), [ 1, 3, 0, '' ], 'three batches');
        my $view = $script->view($site, 'v');
        is(of($view, qw(state load leave first seen session transport batches bytes last final duplicates parts)),
            join(' ', 'complete', $now + 100, $now + 300, $now, $now + 300, 't', 'beacon 3', 9, '2 2 - 1'), 'is complete');
        is_deeply($view->{batch}, { 0 => 'zero', 1 => "one\0\xff", 2 => '' }, 'whatever bytes they have');
        is_deeply([ $script->beacons($site) ], [
            { view => 'v', n => 0, event => 'load', transport => 'fetch', at => $now + 100, payload => 'zero', session => 's' },
            { view => 'v', n => 1, event => 'more', transport => 'fetch', at => $now + 200, payload => "one\0\xff", session => 's', encoding => 'gzip', continues => 1, type => 'text/plain' },
            { view => 'v', n => 2, event => 'hidden', transport => 'beacon', at => $now + 300, payload => '', session => 't', final => 1 },
        ], 'the stream has each of them');
        is_deeply([ $script->view_events($site) ], ['view-complete v 3'], 'an event');
        is_deeply($script->delivery($site), {
            map({ ($_ => 1) } qw(script script:fetchLater script:fetchLater:chromium load load:fetch load:fetch:chromium leave leave:beacon leave:beacon:chromium
                chosen-load:fetchLater:chromium chosen-leave:fetchLater:chromium)) }, 'each flag is counted once');
        is($script->call('ZSCORE', tag_of($site, 'v') . 'views', 'v'), undef, 'nobody has to look after it');
        is($script->call('HGET', tag_of($site, 'v') . 'spool', '00000000000000aa'), 400, 'up to where this is merged');
    };

    subtest "any order, gaps and duplicates, $parts parts" => sub {
        for my $round (1 .. 20) {
            my $site = site();
            my @hosts = map { host() } 1 .. 3;
            my @numbers = map { ($_) x (1 + int rand 2) } 0 .. 9;
            my ($new, $again) = (0, 0);
            for my $n (shuffle @numbers) {
                my $which = int rand 3;
                my @words = $hosts[$which]->beacons_words($site, { server => sprintf '%016x', $which },
                    batch('v', $n, event => $n ? 'more' : 'load', flags => $n == 9 ? 'f' : '', payload => "p$n", transport => (qw(fetch beacon image))[ rand 3 ]));
                my $answer = $script->call(@words);
                $new += $answer->[1];
                $again += $answer->[2];
            }
            is("$new $again", join(' ', 10, @numbers - 10), 'ten are new');
            my $view = $script->view($site, 'v');
            is(of($view, qw(state batches last final)) . ' ' . ($view->{duplicates} // 0), join(' ', 'complete 10 9 9', @numbers - 10), 'complete');
            is_deeply($view->{batch}, { map { $_ => "p$_" } 0 .. 9 }, 'all there');
            is_deeply($view->{order}, [ 0 .. 9 ], 'in order');
            is_deeply([ $script->view_events($site) ], ['view-complete v 10'], 'one event');
            is_deeply([ sort map { $_->{n} } $script->beacons($site) ], [ 0 .. 9 ], 'once in the stream');
            is_deeply(totals($site), { load => 1, @numbers > 10 ? (duplicate => @numbers - 10) : () }, 'counted once');
        }
    };

    subtest "the last one first, $parts parts" => sub {
        my ($site, $server) = (site(), host());
        $server->merge($site, batch('v', 2, flags => 'f', event => 'leave'));
        is(of($script->view($site, 'v'), qw(state batches last final)), 'open 1 2 2', 'not complete');
        $server->merge($site, batch('v', 0, event => 'load'));
        is_deeply([ $script->view_events($site) ], [], 'with one missing neither');
        $server->merge($site, batch('v', 1));
        is_deeply([ $script->view_events($site) ], ['view-complete v 3'], 'now it is');
        $server->merge($site, batch('v', 1, payload => 'another'), batch('v', 2, flags => 'f', event => 'leave'));
        is_deeply([ $script->view_events($site) ], ['view-complete v 3'], 'duplicates say nothing');
        is(of($script->view($site, 'v'), qw(state batches bytes duplicates)), 'complete 3 0 2', 'and change nothing');
        $server->merge($site, batch('v', 3, event => 'resume'));
        is(of($script->view($site, 'v'), qw(state parts)), 'open 2', 'who comes back opens it again');
        $server->merge($site, batch('v', 4, event => 'hidden', flags => 'f'));
        is_deeply([ $script->view_events($site) ], [ 'view-complete v 3', 'view-complete v 5' ], 'and completes it again');
        $server->merge($site, batch('v', 5, event => 'hidden', flags => 'f'));
        is_deeply([ $script->view_events($site) ], [ 'view-complete v 3', 'view-complete v 5', 'view-complete v 6' ], 'with one batch, too');
    };

    subtest "what a duplicate says of the page, $parts parts" => sub {
        my ($site, $server, $now) = (site(), host(), $script->now);
        $server->merge($site, batch('v', 0, event => 'load'), batch('v', 1, payload => 'first'));
        $server->merge($site, batch('v', 1, event => 'leave', transport => 'beacon', flags => 'f', payload => 'second', at => $now + 1000));
        is(of($script->view($site, 'v'), qw(state leave duplicates)), 'complete ' . ($now + 1000) . ' 1', 'it was left, and this was the last one');
        is($script->view($site, 'v')->{batch}{1}, 'first', 'its payload is the first one');
        is_deeply($script->delivery($site)->{'leave:beacon:chromium'}, 1, 'counted by the transport that said so');
        is(scalar $script->beacons($site), 2, 'not in the stream again');
    };

    subtest "exactly once, $parts parts" => sub {
        my ($site, $server) = (site(), host());
        my @window = (delivered('v'), batch('v', 0, event => 'load', payload => 'x'), batch('v', 1, payload => 'y'), batch('v', 1, payload => 'y'));
        my @words = $server->beacons_words($site, {}, @window);
        is_deeply($script->call(@words), [ 1, 3, 1, '' ], 'merged');
        my @before = ($script->view($site, 'v'), [ $script->beacons($site) ], $script->delivery($site));
        is_deeply($script->call(@words), [ 1, 0, 0, '' ], 'sent again: known') for 1 .. 3;
        is_deeply([ $script->view($site, 'v'), [ $script->beacons($site) ], $script->delivery($site) ], \@before, 'nothing changed');
        my @longer = $script->other('x', positions => {})->beacons_words($site, {}, @window, batch('v', 2, payload => 'z'));
        is_deeply($script->call(@longer), [ 1, 1, 0, '' ], 'of a window that goes on, what is new');
        is_deeply($script->call(@words), [ 1, 0, 0, '' ], 'an older one is known');
        is($script->call('HGET', tag_of($site, 'v') . 'spool', '00000000000000aa'), 500, 'the position never goes back');
        is_deeply($script->call($server->beacons_words($site, { server => '00000000000000bb' }, batch('v', 0))), [ 1, 0, 1, '' ], 'what another server has is a duplicate of the client');
        is_deeply($script->call($server->beacons_words($site, { position => 9000 }, batch('v', 3, position => 8000))), [ 1, 1, 0, '' ], 'a window may end behind its last record');
        is($script->call('HGET', tag_of($site, 'v') . 'spool', '00000000000000aa'), 9000, 'up to there it is merged');
    };

    subtest "delivered after it was loaded, $parts parts" => sub {
        my ($site, $server) = (site(), host());
        $server->merge($site, batch('v', 0, event => 'load', family => 'firefox'), batch('v', 1, event => 'leave', family => 'firefox', transport => 'beacon'));
        is_deeply([ grep {/^chosen/} keys %{ $script->delivery($site) } ], [], 'nobody knows yet what was chosen');
        $server->merge($site, delivered('v', choice => 'beacon', family => 'firefox'));
        is_deeply({ map { /^chosen|^script/ ? ($_ => $script->delivery($site)->{$_}) : () } keys %{ $script->delivery($site) } },
            { map { ($_ => 1) } qw(script script:beacon script:beacon:firefox chosen-load:beacon:firefox chosen-leave:beacon:firefox) }, 'then it is');
        $server->merge($site, delivered('v', choice => 'image', family => 'firefox'));
        is($script->view($site, 'v')->{choice}, 'beacon', 'once');
        is($script->delivery($site)->{script}, 1, 'counted once');
    };

    # --- given up ---

    subtest "given up, $parts parts" => sub {
        my ($site, $server, $now) = (site(), host(), $script->now);
        put_session($site, 'here', online => 1, last => $now);
        put_session($site, 'gone', online => 0, last => $now + 1000);
        put_session($site, 'elsewhere', online => 0, last => $now + 60_000);
        my %session = (here => 'here', gone => 'gone', elsewhere => 'elsewhere', lost => 'nobody knows it', none => '', left => 'gone', script => 'gone', complete => 'gone');
        for my $view (sort keys %session) {
            my %o = (session => $session{$view}, at => $now);
            $server->merge($site, delivered($view, %o), $view eq 'script' ? () : (batch($view, 0, %o, event => 'load'), batch($view, 3, %o)));
            $server->merge($site, batch($view, 4, %o, event => 'leave')) if $view eq 'left';
            $server->merge($site, map { batch($view, $_, %o, flags => $_ == 4 ? 'f' : '') } 1, 2, 4) if $view eq 'complete';
        }
        is_deeply($script->give_up($site), [ 0, '' ], 'nobody is looked at before the timeout');
        look_now($site, keys %session);
        is_deeply($script->give_up($site), [ 7, '' ], 'all but the complete one are looked at');
        is_deeply({ map { $_ => $script->view($site, $_)->{state} } keys %session },
            { map({ $_ => 'given-up' } keys %session), here => 'open', complete => 'complete' }, 'those whose session is not here are given up');
        is_deeply([ sort grep {/given-up/} $script->view_events($site) ], [ sort map({"view-given-up $_ 2 missing 2 left 0"} qw(gone elsewhere lost none)),
            'view-given-up left 3 missing 2 left 1', 'view-given-up script 0 missing 0 left 0' ], 'events');
        my %d = %{ $script->delivery($site) };
        is_deeply([ @d{qw(missing missing:fetchLater missing:fetchLater:chromium lost lost:fetchLater lost:fetchLater:chromium elsewhere elsewhere:fetchLater elsewhere:fetchLater:chromium
            chosen-lost:fetchLater:chromium)} ], [ 10, 10, 10, 3, 3, 3, 1, 1, 1, 3 ], 'counted');
        look_now($site, keys %session);
        is_deeply($script->give_up($site), [ 1, '' ], 'only the other one is looked at again');
        put_session($site, 'here', online => 0, last => $now);
        look_now($site, 'here');
        $script->give_up($site);
        is($script->view($site, 'here')->{state}, 'given-up', 'until its session goes');
        is_deeply([ map { $script->call('ZCARD', "${_}views") } Heartbeat::Scripts::parts($site) ], [ (0) x $parts ], 'nothing is left to look after');
    };

    subtest "late, $parts parts" => sub {
        my ($site, $server) = (site(), host());
        $server->merge($site, delivered('v'), batch('v', 0, event => 'load'), batch('v', 3));
        look_now($site, 'v');
        $script->give_up($site);
        is_deeply(totals($site), { script => 1, load => 1, missing => 2, lost => 1 }, 'given up');
        $server->merge($site, batch('v', 0, event => 'load'));
        is($script->view($site, 'v')->{state}, 'given-up', 'a duplicate is no news');
        $server->merge($site, batch('v', 1));
        is($script->view($site, 'v')->{state}, 'open', 'a late batch opens it again');
        is_deeply(totals($site), { script => 1, load => 1, missing => 1, lost => 1, duplicate => 1 }, 'and is not missing any more');
        look_now($site, 'v');
        $script->give_up($site);
        is_deeply(totals($site), { script => 1, load => 1, missing => 1, lost => 1, duplicate => 1 }, 'given up again, nothing counts twice');
        $server->merge($site, batch('v', 6, event => 'leave', flags => 'f', transport => 'image'));
        is_deeply(totals($site), { script => 1, load => 1, missing => 1, duplicate => 1, leave => 1 }, 'what left is not lost');
        is($script->delivery($site)->{'chosen-lost:fetchLater:chromium'}, undef, 'nor by choice');
        look_now($site, 'v');
        $script->give_up($site);
        is(totals($site)->{missing}, 3, 'what is missing behind it counts, too');
        $server->merge($site, batch('v', $_)) for 2, 4, 5;
        is_deeply(totals($site), { script => 1, load => 1, duplicate => 1, leave => 1 }, 'all is there in the end');
        is_deeply([ $script->view_events($site) ], [ 'view-given-up v 2 missing 2 left 0', 'view-given-up v 3 missing 1 left 0', 'view-given-up v 4 missing 3 left 1', 'view-complete v 7' ], 'events');
    };

    subtest "in portions, $parts parts" => sub {
        my ($site, $server) = (site(shards => 1), host());
        $server->merge($site, map { batch("v$_", 0) } 1 .. 250);
        look_now($site, map {"v$_"} 1 .. 250);
        is_deeply([ map { $script->give_up($site, most => 100)->[0] } 1 .. 4 ], [ 100, 100, 50, 0 ], 'as many as are allowed');
        is(scalar(grep {/given-up/} $script->view_events($site)), 250, 'all of them');
    };

    # --- what Redis does ---

    subtest "Redis without its data, $parts parts" => sub {
        my ($site, $server) = (site(), host());
        my @first = $server->beacons_words($site, {}, delivered('v'), batch('v', 0, event => 'load'), batch('v', 1));
        my @second = $server->beacons_words($site, {}, batch('v', 2, flags => 'f', event => 'leave'));
        $script->call($_->@*) for \@first, \@second;
        $script->call('FLUSHDB');
        is_deeply($script->call(@second), [ 1, 1, 0, '' ], 'what comes next is merged');
        is(of($script->view($site, 'v'), qw(state batches last)), 'open 1 2', 'with a gap');
        $script->call('FLUSHDB');
        is_deeply([ map { $script->call(@$_) } \@first, \@second ], [ [ 1, 3, 0, '' ], [ 1, 1, 0, '' ] ], 'what is kept and sent again is merged anew');
        is(of($script->view($site, 'v'), qw(state batches)), 'complete 3', 'whole');
    };

    subtest "everything expires, $parts parts" => sub {
        for my $retention (1000, 600_000, 7 * DAY) {
            $script->call('FLUSHDB');
            my ($site, $server) = (site(retention => $retention), host());
            $server->merge($site, delivered('v', session => 's'), batch('v', 0, event => 'load'), batch('v', 1, flags => 'f', event => 'leave'));
            my $other = (grep { tag_of($site, $_) eq tag_of($site, 'v') } map {"w$_"} 1 .. 100)[0];
            $server->merge($site, batch($other, 2, event => 'load'));
            look_now($site, $other);
            $script->give_up($site);
            $server->merge($site, batch($other, 4));
            my $most = $retention * 1.125 < 150_000 ? 150_000 : $retention * 1.125;
            my @keys = @{ $script->call('KEYS', '*') };
            is_deeply([ sort map { s/.*\}:([^:]*).*/$1/r } @keys ], [ sort qw(batch batch beacons delivery events spool view view views) ], 'all kinds of keys');
            is_deeply([ grep { !/:events$/ && ($script->call('PTTL', $_) > $most || $script->call('PTTL', $_) < $most - 5000) } @keys ], [], 'after the retention and an eighth');
            is_deeply([ grep { $script->call('PTTL', $_) < 0 } @keys ], [], 'none stays for ever');
            $script->call('PEXPIRE', $_, 500) for @keys;
            $server->merge($site, batch($other, 5, event => 'hidden'));
            is_deeply([ grep { /\Q$other\E$|:spool$|:beacons$|:views$/ && $script->call('PTTL', $_) < $most - 5000 } @keys ], [], 'what is in use is kept');
        }
    };

    subtest "the stream forgets, $parts parts" => sub {
        my ($site, $server) = (site(retention => 1000), host());
        for my $round (1 .. 3) {
            $server->merge($site, map { batch('v', 400 * $round + $_) } 1 .. 400);
            sleep 0.7 if $round < 3;
        }
        my $count = $script->beacons($site);
        cmp_ok($count, '<', 1200, "what is older than the retention: $count");
        cmp_ok($count, '>=', 800, 'and nothing newer');
    };
}

$shards = 1;

subtest 'no memory left' => sub {
    my ($site, $server) = (site(), host());
    $server->merge($site, delivered('v'), batch('v', 0, event => 'load'));
    look_now($site, 'v');
    my @before = (@{ $script->call('HGETALL', "hb:{$site->{site}}:spool") }, $script->view($site, 'v'), $script->delivery($site));
    my @words = $server->beacons_words($site, {}, batch('v', 1, payload => 'x' x 2000), batch('w', 0, event => 'load'), batch('v', 2, event => 'leave', flags => 'f'));
    $script->call('CONFIG', 'SET', 'maxmemory', 1, 'maxmemory-policy', 'noeviction');
    ok(!eval { $script->call(@words); 1 }, 'is an error');
    like($@, qr/OOM/, 'that says so');
    ok(!eval { $script->give_up($site); 1 }, 'for those that are given up, too');
    is_deeply([ @{ $script->call('HGETALL', "hb:{$site->{site}}:spool") }, $script->view($site, 'v'), $script->delivery($site) ], \@before, 'nothing was changed');
    $script->call('CONFIG', 'SET', 'maxmemory', 0);
    is_deeply($script->call(@words), [ 1, 3, 0, '' ], 'then all of it is merged');
    is_deeply($script->call(@words), [ 1, 0, 0, '' ], 'once');
    is(of($script->view($site, 'v'), qw(state batches)), 'complete 3', 'whole');
    is_deeply(totals($site), { script => 1, load => 2, leave => 1 }, 'and counted');
};

subtest 'keys that hold something else' => sub {
    for my $type ([ 'SET', 'x' ], [ 'RPUSH', 'x' ], [ 'SADD', 'x' ]) {
        for my $spoiled (qw(view:v batch:v beacons events views delivery)) {
            my ($site, $server, $now) = (site(), host(), $script->now);
            my $tag = "hb:{$site->{site}}:";
            my $day = strftime('%Y-%m-%d', gmtime int $now / 1000);
            my $key = $tag . ($spoiled eq 'delivery' ? "delivery:$day" : $spoiled);
            $script->call($type->[0], $key, $type->[1]);
            my @window = map { (delivered($_, at => $now), batch($_, 0, at => $now, event => 'load', payload => "0$_"), batch($_, 1, at => $now, payload => "1$_"), batch($_, 1, at => $now), batch($_, 2, at => $now, event => 'leave', flags => 'f')) } qw(u v w);
            my $answer = eval { $server->merge($site, @window, batch('x', 1, at => $now)) } // [$@];
            is($answer->[0], 1, "$spoiled: no error");
            like($answer->[3], qr/^\Q$key\E: WRONGTYPE/, 'it is told');
            is($script->call('HGET', "${tag}spool", '00000000000000aa'), 1600, 'the window counts as merged');
            is_deeply([ map { of($script->view($site, $_), qw(state batches duplicates)) } 'u', 'w' ], [ ('complete 3 1') x 2 ], 'other views go on');
            is($script->call('TYPE', $key), { SET => 'string', RPUSH => 'list', SADD => 'set' }->{ $type->[0] }, 'nothing was overwritten');
            my %sent;
            $sent{"$_->{view}$_->{n}"}++ for $spoiled eq 'beacons' ? () : $script->beacons($site);
            is_deeply([ grep { !$sent{$_} } map { my $v = $_; map {"$v$_"} 0 .. 2 } qw(u v w) ], [], 'the stream has every batch') if $spoiled ne 'beacons';
            if ($spoiled ne 'views') {
                look_now($site, 'x', 'v');
                my $given = eval { $script->give_up($site) } // [$@];
                like("@$given", qr/^[12] /, 'views are given up all the same');
                is(of($script->view($site, 'x'), 'state'), 'given-up', 'x is');
            }
            $script->call('DEL', $key);
            is_deeply($server->merge($site, batch('y', 0, event => 'load'), batch('v', 7))->[3], '', 'once it is gone, all goes on');
        }
    }
    my $site = site();
    $script->call('SET', "hb:{$site->{site}}:spool", 'x');
    ok(!eval { host()->merge($site, batch('v', 0)); 1 }, 'without the positions nothing can be merged');
    is_deeply($script->call('KEYS', "hb:{$site->{site}}*"), ["hb:{$site->{site}}:spool"], 'and nothing is written');
};

# Hashes that hold what nobody can read: of another version, or of somebody else.
subtest 'fields of another kind' => sub {
    my @garbage = ('', 'x', '-1', '1e400', 'nan', 'inf', '0x10', ' 5', '99999999999999999999', '1 - 5 x y', '20000 lost 3 fetchLater chromium', '99999999 lost 99999999999999999999 a b', "\0" x 53, "\xff" x 53,
        '1.5', '-0', 'open', 'complete', 'given-up', '20000 - 4 unknown other');
    my @fields = qw(script load leave session family choice transport batches bytes last final duplicates parts first seen state counted);
    srand 1;
    for my $round (1 .. 600) {
        my ($site, $server) = (site(), host());
        my $tag = "hb:{$site->{site}}:";
        my @some = map { ($_ => $garbage[ rand @garbage ]) } grep { rand() < 0.5 } @fields;
        $script->call('HSET', "${tag}view:v", @some) if @some;
        $script->call('HSET', "${tag}batch:v", $garbage[ rand @garbage ], 'x') if rand() < 0.5;
        $script->call('HSET', "${tag}spool", '00000000000000aa', $garbage[ rand 8 ]) if rand() < 0.5;
        $script->call('HSET', "${tag}session:s", state => $garbage[ rand @garbage ]) if rand() < 0.5;
        my @window = map { (delivered($_, session => 's'), batch($_, 0, event => 'load'), batch($_, 2), batch($_, 3, event => 'leave', flags => 'f'), batch($_, 1, event => 'resume')) } qw(v w);
        my $merged = eval { $server->merge($site, @window, batch('v', $garbage[ rand @garbage ], at => $garbage[ rand @garbage ]), batch('x', 4)) } // [$@];
        $script->call('ZADD', "${tag}views", 0, 'v', 0, 'x');
        $script->call('HSET', "${tag}view:v", state => 'open') if rand() < 0.5;
        my $given = eval { $script->give_up($site) } // [$@];
        my $read = eval { $script->view($site, 'v') } // $@;
        if ("$merged->[0] $given->[0]" ne '1 2' || !ref $read) {
            fail("round $round: @$merged, @$given");
            diag explain \@some;
            last;
        }
        fail("round $round: others spoiled") if of($script->view($site, 'w'), qw(state batches)) ne 'complete 4' || $script->view($site, 'x')->{state} ne 'given-up';
    }
    pass('no script failed');
};

subtest 'view names, sessions and types of any bytes' => sub {
    my ($site, $server) = (site(), host());
    for my $name ('{x}', "a\r\nb", "\0\xff", '%d', '$1') {
        is_deeply($server->merge($site, batch($name, 0, session => $name, type => $name, payload => $name, flags => 'f')), [ 1, 1, 0, '' ], 'merged');
        is(of($script->view($site, $name), qw(state session)), "complete $name", 'and known');
    }
};

subtest 'what is asked for' => sub {
    my ($site, $server) = (site(), host());
    is_deeply([ @{ $script->call('EVALSHA', $script->{sha}{view}, 1, "hb:{$site->{site}}:view:v", "hb:{$site->{site}}:", 'v', 1000) } ], [0], 'nothing');
    $server->merge($site, map { batch('v', $_, payload => 'x' x 1000) } reverse 0 .. 999);
    my $view = $script->view($site, 'v');
    is(scalar keys %{ $view->{batch} }, 1000, 'a thousand batches');
    is_deeply($view->{order}, [ 0 .. 999 ], 'in order');
    $view = $script->view($site, 'v', most => 2500);
    is_deeply([ map { length($view->{batch}{$_} // '') } 0 .. 3, 999 ], [ 1000, 1000, 0, 0, 0 ], 'of too many bytes, the first');
    is(scalar @{ $view->{order} }, 1000, 'and which there are');
    my $alone = site();
    $server->merge($alone, delivered('v'));
    is(of($script->view($alone, 'v'), 'state'), 'open', 'without batches');
};

# Many views, servers and windows that are sent again and again: what came is there once.
subtest 'at random' => sub {
    my $seed = $ENV{HEARTBEAT_SEED} // time ^ $$;
    srand $seed;
    note "HEARTBEAT_SEED=$seed";
    my $site = site();
    my (@windows, %payload);
    for my $server (0 .. 3) {
        my $host = host();
        for (1 .. 30) {
            my @records = map {
                my ($view, $n) = ('v' . int(rand 40), int rand 12);
                $payload{"$view $n"} = 1;
                batch($view, $n, payload => "$view $n", event => (qw(load more more hidden leave resume))[ rand 6 ], flags => rand() < 0.2 ? 'f' : '');
            } 1 .. 1 + rand 20;
            push @{ $windows[$server] }, [ $host->beacons_words($site, { server => "server$server" }, @records), scalar @records ];
        }
    }
    my ($new, $again, $sent) = (0, 0, 0);
    while (my @left = grep {@$_} @windows) {
        my $one = $left[ rand @left ];
        my @words = @{ $one->[0] };
        my $records = pop @words;
        my $answer = $script->call(@words);
        $new += $answer->[1];
        $again += $answer->[2];
        if (rand() < 0.6) { shift @$one; $sent += $records }    # else its answer was lost
    }
    is($new, scalar keys %payload, 'every batch once');
    is($again, $sent - $new, 'all others are duplicates');
    is_deeply([ sort map {"$_->{view} $_->{n}"} $script->beacons($site) ], [ sort keys %payload ], 'in the stream, too');
    is(scalar(grep { $_->{payload} ne "$_->{view} $_->{n}" } $script->beacons($site)), 0, 'as they were');
    my %views = map { (split)[0] => 1 } keys %payload;
    for my $view (sort keys %views) {
        my $got = $script->view($site, $view);
        my @numbers = @{ $got->{order} };
        my $complete = defined $got->{final} && $got->{final} == $numbers[-1] && @numbers == $numbers[-1] + 1;
        is(of($got, qw(state batches last)), join(' ', $complete ? 'complete' : 'open', scalar @numbers, $numbers[-1]), "$view: is what it has");
    }
};

done_testing;
